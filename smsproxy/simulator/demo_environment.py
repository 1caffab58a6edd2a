"""The environment of `manage.py demo`: complete, its own, and owing nothing to the developer's.

Whatever the real environment or .env says of accounts and databases, the demo must not touch them. So it keeps only
what a program needs of its surroundings, and says every setting that matters itself. It runs before the settings are
read, and so without Django.
"""

import argparse
import atexit
import os
import secrets
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from cryptography.fernet import Fernet

DEFAULT_PORT = 8000
_KEPT = ("PATH", "HOME", "LANG", "TZ", "TERM", "TMPDIR", "COLUMNS", "LINES", "NO_COLOR")
_KEPT_BEGINNINGS = ("LC_", "PYTHON", "COVERAGE")

_is_prepared = False


def is_prepared() -> bool:
    """Was `prepare` called before the settings were read? Else they are those of something real."""
    return _is_prepared


def prepare() -> None:
    """Set os.environ for the demo that the command line asks for; make its keys if there are none yet.

    Keys and database are in var/, or in the directory that DEMO_DIRECTORY names; those of a transcript are in a
    temporary one, removed at the end.
    """
    global _is_prepared
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--port", default=str(DEFAULT_PORT))
    parser.add_argument("--transcript", action="store_true")
    options, _ = parser.parse_known_args(sys.argv[2:])
    directory = _temporary() if options.transcript else _lasting()
    env_file, database = directory / "demo.env", directory / "demo.sqlite3"
    settings = {
        **_keys(directory / "demo.keys", database),
        # Quoted, since it is a URL: the directory may have "#", "?", "%" or a space in its name.
        "DATABASE_URL": f"sqlite:///{quote(str(database))}",
        "DEBUG": "false",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "PUBLIC_URL": f"http://127.0.0.1:{options.port}",
        "CARRIER": "simulator",
        "LOOKUP": "offline",
        "ENDED_NOTICE": "This conversation has ended. Your message was not passed on.",
        "NO_ROUTE_NOTICE": "This number reaches nobody from your phone. Your message was not passed on.",
        "LOG_LEVEL": "WARNING",
    }
    # For other commands on the demo's data: ENV_FILE=var/demo.env manage.py …
    _write(env_file, settings)

    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith(_KEPT_BEGINNINGS)}
    os.environ.clear()
    os.environ.update(kept, DJANGO_SETTINGS_MODULE="smsproxy.settings", ENV_FILE=str(env_file), **settings)
    _is_prepared = True


def _lasting() -> Path:
    root = Path(__file__).resolve().parent.parent.parent
    directory = Path(os.environ.get("DEMO_DIRECTORY") or root / "var").absolute()
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _temporary() -> Path:
    directory = tempfile.mkdtemp(prefix="smsproxy-transcript-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def _keys(file: Path, database: Path) -> dict[str, str]:
    """The demo's keys: made once, since what is in its database can be read only with them."""
    if not file.exists():
        if database.exists():
            sys.exit(
                f"{file} is gone, and with it the keys of {database}. Put it back, or remove the database as well: "
                "the demo then starts anew."
            )
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "NUMBER_HASH_KEY": secrets.token_urlsafe(32),
        }
        _write(file, made, anew=False)
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


def _write(file: Path, values: dict[str, str], *, anew: bool = True) -> None:
    """Write the file, readable for its owner only, in one go. anew: in place of the one that is there, if any."""
    # First aside, then by name: two demos that start at once must not have different keys, or half of them.
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    aside.touch(mode=0o600)
    aside.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    if anew:
        aside.replace(file)
        return
    with suppress(FileExistsError):
        os.link(aside, file)
    aside.unlink()
