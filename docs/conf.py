"""How Sphinx builds these pages: `make docs` writes them to var/docs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from smsproxy.version import VERSION

project = "smsproxy"
version = release = VERSION
extensions = ["myst_parser"]
html_theme = "furo"
html_title = "smsproxy"
# Headings up to this level can be linked to by the name that GitHub gives them.
myst_heading_anchors = 3
# An example with a placeholder such as «…» in it is no valid JSON, and is shown as it is.
suppress_warnings = ["misc.highlighting_failure"]
