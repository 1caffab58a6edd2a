"""smsproxy: private SMS for marketplaces.

Our app `numbers` has the same name as a module of Python's standard library, which `decimal` and `fractions` need. So
our folder has no `__init__.py`, and here the standard module is told to look for its submodules there: `numbers.models`
is ours, `numbers.Number` stays Python's. Check smsproxy.E001 and tests/project/test_architecture.py keep it so.
"""

from pathlib import Path

import numbers

numbers.__path__ = [str(Path(__file__).resolve().parent.parent / "numbers")]
