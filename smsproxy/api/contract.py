"""The committed copies of the contract: docs/openapi.yaml and docs/problems.md.

`python -m smsproxy.api.contract` writes them. With --check it fails if they differ, or if making the schema warns.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smsproxy.api.field_codes import FIELD_CODES
from smsproxy.api.problem_types import PROBLEMS

_INTRODUCTION = """\
This page is for marketplace backends: every error of the API, what it means and what to do. `make openapi` writes it
from [smsproxy/api/problem_types.py](../smsproxy/api/problem_types.py). The `type` of a problem is the URL of its page
in your deployment: `{PUBLIC_URL}/api/v1/problems/{code}/`. [Errors](api.md#errors) explains the form."""
_ERRORS = """\
`errors` names each wrong field by `pointer`, each query parameter by `parameter`, and each header by `header`. An error
that is about a participant has the code of the problem itself, such as `blocked`."""
DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


class SchemaWarnings(Exception):
    """Making the schema warned, so a part of it is a guess."""


def make_schema() -> dict[str, Any]:
    """Return the OpenAPI schema. Raises SchemaWarnings."""
    from drf_spectacular.drainage import GENERATOR_STATS
    from drf_spectacular.generators import SchemaGenerator

    with GENERATOR_STATS.silence():
        made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    if GENERATOR_STATS:
        raise SchemaWarnings([*GENERATOR_STATS._error_cache, *GENERATOR_STATS._warn_cache])
    return made


def as_json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False)


def as_yaml(schema: dict[str, Any]) -> str:
    import yaml

    class Dumper(yaml.SafeDumper):
        """Writes long texts as blocks, and each value out: no anchors."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Dumper.add_representer(str, text)
    written: str = yaml.dump(schema, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return written


def problems_page() -> str:
    """Return docs/problems.md."""
    return "\n".join(_problems_page()) + "\n"


def _problems_page() -> Iterator[str]:
    yield "# Problems"
    yield ""
    yield from _INTRODUCTION.splitlines()
    for code, about in sorted(PROBLEMS.items(), key=lambda each: (each[1].status, each[0])):
        yield from ("", f"## {code}", "", f"**{about.status} {about.title}.** {about.meaning}", "", about.action)
        if about.members:
            yield from ("", "| member | meaning |", "|---|---|")
            yield from (f"| `{name}` | {text} |" for name, text in about.members.items())
    yield from ("", "## Codes of single errors", "")
    yield from _ERRORS.splitlines()
    yield from ("", "| code | meaning |", "|---|---|")
    yield from (f"| `{code}` | {meaning} |" for code, meaning in FIELD_CODES.items())


def files() -> dict[Path, str]:
    """Return the text of each file."""
    return {DOCS / "openapi.yaml": as_yaml(make_schema()), DOCS / "problems.md": problems_page()}


def main(arguments: list[str]) -> int:
    import django

    django.setup()
    made = files()
    if arguments != ["--check"]:
        for path, text in made.items():
            path.write_text(text)
        return 0
    wrong = [path.name for path, text in made.items() if not path.exists() or path.read_text() != text]
    if wrong:
        sys.stderr.write(f"docs/: {', '.join(wrong)} differ from the code. Run `make openapi` and commit the result.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
