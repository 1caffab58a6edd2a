"""Read settings from the environment. An error names the variable, what was expected and what was found."""

import os
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

from smsproxy.text_kinds import KIND_OF_SETTING, check_template
from smsproxy.values import InvalidValue
from smsproxy.values import country as parse_country

REQUIRED: Final = object()

# Old names of variables, and the present ones.
RENAMED: Final = {
    "CARRIER_RATE": "CARRIER_REQUESTS_PER_SECOND",
    "CARRIER_TIMEOUT": "CARRIER_TIMEOUT_SECONDS",
    "CONCAT_TIMEOUT": "LONG_MESSAGE_TIMEOUT_SECONDS",
    "COOL_DOWN": "COOL_DOWN_SECONDS",
    "CREATIONS_PER_KEY_DAY": "CREATIONS_PER_SERVICE_DAY",
    "CREATIONS_PER_KEY_MINUTE": "CREATIONS_PER_SERVICE_MINUTE",
    "HEALTH_LEAST": "HEALTH_MIN_RECEIPTS",
    "HEALTH_THRESHOLD": "HEALTH_MAX_FAILURE_PERCENT",
    "HEALTH_WINDOW": "HEALTH_WINDOW_SECONDS",
    "LATE_TEXTS": "LATE_MESSAGE_POLICY",
    "LEASE": "SEND_LEASE_SECONDS",
    "LOOKUP_KEY": "NUMBER_HASH_KEY",
    "LOOKUP_MAX_AGE": "LOOKUP_MAX_AGE_SECONDS",
    "MESSAGE_MAX_AGE": "MESSAGE_MAX_AGE_SECONDS",
    "NEW_PEOPLE_PER_KEY_DAY": "NEW_PEOPLE_PER_SERVICE_DAY",
    "NEW_PEOPLE_PER_KEY_MINUTE": "NEW_PEOPLE_PER_SERVICE_MINUTE",
    "NUMBERS_USED_UP": "ON_EXHAUSTED",
    "NUMBER_RATES": "NUMBER_SEGMENTS_PER_SECOND",
    "SIGNATURE_MAX_AGE": "WEBHOOK_MAX_AGE_SECONDS",
    "STRANGER_NOTICE": "NO_ROUTE_NOTICE",
    "TEXT_RETENTION": "TEXT_RETENTION_SECONDS",
    "UNKNOWN_AFTER": "UNKNOWN_OUTCOME_TIMEOUT_SECONDS",
    "UNKNOWN_POLICY": "UNKNOWN_OUTCOME_POLICY",
}
# Variables that are gone, and what has taken their place.
REMOVED: Final = {
    "UNDELIVERED_NOTICE_EVERY": "NOTICES_PER_NUMBER_HOUR",
    "UNDELIVERED_NOTICE_INTERVAL_SECONDS": "NOTICES_PER_NUMBER_HOUR",
}


def env_file() -> Path:
    """Return the path of .env, or of the file that ENV_FILE names: the demo and the tests use another one."""
    return Path(os.environ.get("ENV_FILE", Path(__file__).resolve().parent.parent / ".env"))


def peek(name: str) -> str:
    """Return a variable of the environment or the file, or "". The environment of this process stays as it is.

    gunicorn's main process must not take over the file, because its later children read the file again.
    """

    class Copy(environ.Env):  # type: ignore[misc]  # django-environ has no types.
        ENVIRON = dict(os.environ)

    if env_file().is_file():
        Copy.read_env(str(env_file()), overwrite=False)
    return str(Copy.ENVIRON.get(name, "")).strip()


class Environment:
    """The environment with one strict parser for each type, on top of django-environ.

    All parsers raise ImproperlyConfigured. Errors of durations, which depend on each other, are raised all at once, by
    `raise_errors`.
    """

    def __init__(self, env_file: Path) -> None:
        self._env = environ.Env()
        self._errors: dict[str, str] = {}
        """Errors of single variables, by name."""
        self._broken_rules: list[str] = []
        if env_file.is_file():
            # The process environment takes precedence over the file.
            self._env.read_env(str(env_file), overwrite=False)
        self._refuse_old_names()

    def _refuse_old_names(self) -> None:
        """Raise ImproperlyConfigured for a variable that was renamed or removed: it would be ignored silently."""
        found = [f"{old} is now called {new}" for old, new in RENAMED.items() if old in self._env.ENVIRON]
        if found:
            raise ImproperlyConfigured(f"Rename these variables: {', '.join(found)}. The values stay the same.")
        gone = [f"{old} ({new} is in its place)" for old, new in REMOVED.items() if old in self._env.ENVIRON]
        if gone:
            raise ImproperlyConfigured(f"Remove these variables: {', '.join(gone)}. docs/settings.md explains them.")

    def text(self, name: str, default: Any = REQUIRED, *, fix: str = "") -> str:
        """Return the value without surrounding space. An empty value counts as not set."""
        # Not `self._env.str`, which reads a value that begins with "$" as the name of another variable.
        value = str(self._env.ENVIRON.get(name, "")).strip()
        if value:
            return value
        if default is REQUIRED:
            raise ImproperlyConfigured(f"{name} is not set. {fix}".strip())
        return str(default)

    def message_template(self, name: str, default: str) -> str:
        """Return the text of a notice. A variable that is set but empty stays empty."""
        try:
            return check_template(KIND_OF_SETTING[name], self._text_or_empty(name, default))
        except InvalidValue as error:
            raise ImproperlyConfigured(f"{name}: {error}.") from None

    def _text_or_empty(self, name: str, default: str) -> str:
        """Return the value without surrounding space. A variable that is set but empty stays empty."""
        return str(self._env.ENVIRON.get(name, default)).strip()

    def csv_list(self, name: str, *, default: str = "") -> list[str]:
        """Return the entries of a comma-separated list, without empty ones."""
        return [word.strip() for word in self.text(name, default).split(",") if word.strip()]

    def boolean(self, name: str, *, default: bool) -> bool:
        """Return a boolean, such as true, yes, on or 1."""
        value = self.text(name, "")
        known = {
            "true": True,
            "1": True,
            "yes": True,
            "on": True,
            "false": False,
            "0": False,
            "no": False,
            "off": False,
        }
        if not value:
            return default
        if value.lower() not in known:
            raise ImproperlyConfigured(f"{name}: expected true or false, found {value!r}.")
        return known[value.lower()]

    def choice(self, name: str, choices: list[str], *, default: str) -> str:
        """Return one of the choices."""
        value = self.text(name, default)
        if value not in choices:
            raise ImproperlyConfigured(f"{name}: expected one of {', '.join(choices)}; found {value!r}.")
        return value

    def seconds(self, name: str, *, default: int, at_least: int = 0) -> int:
        """Return a duration in whole seconds, or the default if `raise_errors` will raise an error."""
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and len(value) < 12 and int(value) >= at_least):
            self._errors[name] = f"{name}: expected a whole number of seconds, {at_least} or more; found {value!r}."
            return default
        return int(value)

    def require(self, rule: bool, error: str) -> None:
        """Keep the error for `raise_errors` if the rule is broken. The error names all variables of the rule."""
        if not rule and not any(name in error for name in self._errors):
            self._broken_rules.append(error)

    def raise_errors(self) -> None:
        """Raise ImproperlyConfigured with all errors that were kept, one a line."""
        if errors := [*self._errors.values(), *self._broken_rules]:
            raise ImproperlyConfigured("\n".join(errors))

    def number(self, name: str, *, default: int, at_least: int = 0) -> int:
        """Return an integer."""
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and len(value) < 10 and int(value) >= at_least):
            raise ImproperlyConfigured(f"{name}: expected a whole number, {at_least} or more; found {value!r}.")
        return int(value)

    def euros(self, name: str, *, default: str) -> Decimal:
        """Return an amount in EUR, below one million, with at most five decimals as carriers have them."""
        value = self.text(name, default)
        if not re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,5})?", value):
            raise ImproperlyConfigured(f"{name}: expected an amount in EUR such as {default}; found {value!r}.")
        return Decimal(value)

    def rates(self, name: str, *, default: str) -> dict[str, float]:
        """Return a rate for each country, as in "*=10,US=0.5": ISO 3166-1 alpha-2, and "*" for all other countries."""
        rates = {}
        for word in self.csv_list(name, default=default):
            found = re.fullmatch(r"(\*|[A-Z]{2})=([0-9]{1,6}(?:\.[0-9]{1,3})?)", word)
            if not found or not float(found[2]):
                raise ImproperlyConfigured(f"{name}: expected a list such as {default}; found {word!r} in it.")
            rates[found[1]] = float(found[2])
        if "*" not in rates:
            raise ImproperlyConfigured(
                f'{name}: expected a rate for "*", which stands for all other countries, as in {default}.'
            )
        return rates

    def countries(self, name: str) -> frozenset[str]:
        """Return countries, ISO 3166-1 alpha-2, from a comma-separated list. "*" stands for all of them."""
        words = self.csv_list(name)
        try:
            return frozenset(word if word == "*" else parse_country(word) for word in words)
        except InvalidValue:
            raise ImproperlyConfigured(
                f"{name}: expected countries such as GB,IE, or * for all of them; found {','.join(words)!r}."
            ) from None

    def number_kinds(self, name: str, *, default: str) -> frozenset[str]:
        """Return kinds of virtual numbers: countries, each with or without a type, as in "US:toll-free,CA".

        A variable that is set but empty means none.
        """
        words = [word.strip() for word in self._text_or_empty(name, default).split(",") if word.strip()]
        for word in words:
            if not re.fullmatch(r"[A-Z]{2}(:(mobile|landline|toll-free))?", word):
                raise ImproperlyConfigured(
                    f"{name}: expected countries, each with or without a type of number (mobile, landline or "
                    f"toll-free), such as US:toll-free,CA; found {word!r} in it."
                )
        return frozenset(words)

    def host(self, name: str, default: str) -> str:
        """Return a host, with or without a port."""
        value = self.text(name, default)
        if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", value):
            raise ImproperlyConfigured(f"{name}: expected a host such as {default}; found {value!r}.")
        return value

    def base_url(self, name: str, default: str) -> str:
        """Return an http or https URL without a path."""
        value = self.text(name, default).rstrip("/")
        try:
            parts = urlsplit(value)
            is_good = bool(parts.hostname) and value == f"{parts.scheme}://{parts.netloc}"
            _ = parts.port  # may raise ValueError
        except ValueError:
            is_good = False
        if not is_good or parts.scheme not in ("http", "https") or "@" in parts.netloc:
            raise ImproperlyConfigured(
                f"{name}: expected a URL that begins with https:// and ends with its host, such as "
                f"https://sms.example.com; found {value!r}."
            )
        return value

    def database(self, name: str, *, default: str) -> dict[str, Any]:
        """Return the settings of a PostgreSQL or SQLite database from its URL."""
        value = self.text(name, default)
        try:
            database: dict[str, Any] = self._env.db_url_config(value)
            engine = database["ENGINE"]
        except (ValueError, KeyError, environ.ImproperlyConfigured):
            engine = ""
        if engine not in ("django.db.backends.postgresql", "django.db.backends.sqlite3"):
            # The error omits the value, which may contain a password.
            raise ImproperlyConfigured(
                f"{name}: expected postgres://user:password@host:5432/name or sqlite:///path/to/file.sqlite3."
            )
        return database

    def token(self, name: str, *, min_length: int) -> str:
        """Return a secret that callers present, or "" if it is not set. Errors never contain it."""
        value = self.text(name, "")
        if value and (len(value) < min_length or not value.isascii() or not value.isprintable() or " " in value):
            raise ImproperlyConfigured(
                f"{name}: expected {min_length} or more ASCII characters without spaces, found {len(value)}. "
                'Create one: python -c "import secrets; print(secrets.token_urlsafe(32))"'
            )
        return value

    def optional_database(self, name: str) -> dict[str, Any] | None:
        """Return the settings of a database from its URL, or None if there is no URL."""
        return self.database(name, default="") if self.text(name, "") else None

    def secrets(self, name: str, is_good: Callable[[str], bool], *, fix: str) -> list[str]:
        """Return one or more secrets from a comma-separated list. Errors never contain a secret."""
        values = self.csv_list(name)
        if not values:
            raise ImproperlyConfigured(f"{name} is not set. {fix}")
        for position, value in enumerate(values, start=1):
            if not is_good(value):
                raise ImproperlyConfigured(f"{name}: entry {position} has the wrong format. {fix}")
        return values
