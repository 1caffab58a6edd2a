"""The environment of `manage.py demo`, independent of the developer's own.

The demo must not touch the accounts and databases that the real environment or .env names. So it keeps only the
variables that any program needs, and sets every setting that matters itself. It runs before the settings are read, and
therefore without Django.
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

from smsproxy.environment import RENAMED

DEFAULT_PORT = 8000
_KEPT = ("PATH", "HOME", "LANG", "TZ", "TERM", "TMPDIR", "COLUMNS", "LINES", "NO_COLOR")
_KEPT_BEGINNINGS = ("LC_", "PYTHON", "COVERAGE")

_is_prepared = False


def is_prepared() -> bool:
    """Return whether `prepare` ran before the settings were read. Otherwise they may be those of production."""
    return _is_prepared


def prepare() -> None:
    """Set os.environ for the demo as the command line asks. Create its keys if they do not exist.

    Keys and database are in var/ or in the directory that DEMO_DIRECTORY names. A transcript has them in a temporary
    directory, which is removed at exit.
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
        # Quoted for a URL: the directory may have "#", "?", "%" or a space in its name.
        "DATABASE_URL": f"sqlite:///{quote(str(database))}",
        "DEBUG": "false",
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "PUBLIC_URL": f"http://127.0.0.1:{options.port}",
        "CARRIER": "simulator",
        "LOOKUP": "offline",
        "ENDED_NOTICE": "This conversation has ended. Your message was not passed on.",
        "NO_ROUTE_NOTICE": "This number reaches nobody from your phone. Your message was not passed on.",
        # The phones page begins one conversation after another, with few numbers.
        "SOFT_COOL_DOWN_SECONDS": "10",
        "LOG_LEVEL": "WARNING",
    }
    if not options.transcript:
        # Who tries one fault after another on the phones gets a notice each time.
        settings |= {"NOTICES_PER_NUMBER_HOUR": "1000", "NOTICES_PER_PERSON_DAY": "1000"}
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
    """Return the demo's keys, which are created once: its database can be read only with them."""
    if not file.exists():
        if database.exists():
            sys.exit(
                f"{file} is missing, and with it the keys of {database}. Restore it, or remove the database too, for "
                "a new demo."
            )
        made = {
            "SECRET_KEY": secrets.token_urlsafe(50),
            "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
            "NUMBER_HASH_KEY": secrets.token_urlsafe(32),
        }
        _write(file, made, overwrite=False)
    found = dict(line.split("=", 1) for line in file.read_text().splitlines())
    # A demo of an earlier version wrote the old names.
    return {RENAMED.get(name, name): value for name, value in found.items()}


def _write(file: Path, values: dict[str, str], *, overwrite: bool = True) -> None:
    """Write the file atomically, readable for its owner only. Without overwrite, keep a file that exists."""
    # Written under another name first: two demos that start at once must share one complete set of keys.
    aside = file.with_name(f"{file.name}.{os.getpid()}")
    aside.touch(mode=0o600)
    aside.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    if overwrite:
        aside.replace(file)
        return
    with suppress(FileExistsError):
        os.link(aside, file)
    aside.unlink()
