"""Read and write a .env file, so that django-environ, Docker Compose and a shell understand it alike."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import environ

_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=*~^?&-]*")
_LINE = re.compile(r"(?:export )?([A-Za-z_][A-Za-z0-9_]*)=")


class CannotBeWritten(ValueError):
    """A value that no .env file can hold. The message has the variable's name, never its value."""


def read(file: Path) -> dict[str, str]:
    """Return the variables of the file, as the settings read them. Return {} if there is no file."""
    found: dict[str, str] = {}
    if file.is_file():
        # It reads into a variable of its class, which is os.environ otherwise.
        apart: Any = type("Apart", (environ.Env,), {"ENVIRON": found})
        apart.read_env(str(file))
    return found


def write(file: Path, values: Mapping[str, str], *, verify: Callable[[Path], None]) -> None:
    """Set these variables in the file, readable for its owner only. Its other lines stay.

    verify: raises an error for a new file that must not replace the old one. Both are complete at every moment.
    """
    lines = file.read_text().splitlines() if file.is_file() else []
    left = {name: f"{name}={quote(name, value)}" for name, value in values.items()}
    for index, line in enumerate(lines):
        found = _LINE.match(line)
        if found and found[1] in values:
            # A second line of the same name would win over the first.
            lines[index] = left.pop(found[1], f"# {found[1]} is set above.")
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w") as written:
            written.write("".join(f"{line}\n" for line in [*lines, *left.values()]))
            written.flush()
            os.fsync(written.fileno())
        if file.exists():
            os.chown(aside, file.stat().st_uid, file.stat().st_gid)
        verify(aside)
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def quote(name: str, value: str) -> str:
    """Return the value as it stands in the file. Raise CannotBeWritten."""
    if not value.isprintable():
        raise CannotBeWritten(f"{name}: expected one line of printable characters.")
    if _PLAIN.fullmatch(value):
        return value
    if "'" not in value:
        return f"'{value}'"
    if "\\" in value or "$" in value:
        # Readers of .env files disagree about these two inside double quotes.
        raise CannotBeWritten(f"{name}: a value with an apostrophe may have neither a backslash nor a dollar sign.")
    escaped = value.replace('"', '\\"')
    return f'"{escaped}"'
