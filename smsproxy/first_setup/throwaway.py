"""Settings that are used for `manage.py init` alone, which runs before there are any."""

import os
import secrets

from cryptography.fernet import Fernet

_KEPT = ("PATH", "HOME", "LANG", "TZ", "TERM", "COLUMNS", "LINES", "NO_COLOR")

# The environment of the command before `prepare`.
given: dict[str, str] = {}


def prepare() -> None:
    """Replace os.environ by settings that start the program, and keep the former one in `given`."""
    given.update(os.environ)
    os.environ.clear()
    os.environ.update({name: value for name, value in given.items() if name in _KEPT or name.startswith("PYTHON")})
    os.environ.update(make_keys(), ENV_FILE=os.devnull, DATABASE_URL="sqlite://:memory:")


def make_keys() -> dict[str, str]:
    """Return new keys, by their variables."""
    return {
        "SECRET_KEY": secrets.token_urlsafe(50),
        "ENCRYPTION_KEYS": Fernet.generate_key().decode(),
        "NUMBER_HASH_KEY": secrets.token_urlsafe(32),
    }
