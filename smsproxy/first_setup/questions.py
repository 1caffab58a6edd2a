"""The questions of `manage.py init`: the variable that each sets, its words, and how an answer is checked."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from smsproxy.environment import Environment


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question about one variable.

    is_secret: neither shown while it is typed nor afterwards. is_asked: whether it matters, given the answers so far.
    check: raises ImproperlyConfigured for an answer that the settings would reject.
    """

    variable: str
    words: str
    default: str = ""
    is_secret: bool = False
    is_required: bool = True
    is_asked: Callable[[Mapping[str, str]], bool] = lambda answers: True
    check: Callable[[Environment, str], object] = lambda env, name: env.text(name)


def _with_vonage(answers: Mapping[str, str]) -> bool:
    return answers.get("CARRIER") == "vonage"


def _is_without_password(answers: Mapping[str, str]) -> bool:
    parts = urlsplit(answers.get("DATABASE_URL", ""))
    return bool(parts.hostname) and parts.username is not None and parts.password is None


QUESTIONS = (
    Question(
        variable="PUBLIC_URL",
        words="Public URL, under which the carrier reaches this site, such as https://sms.example.com",
        check=lambda env, name: env.base_url(name, ""),
    ),
    Question(
        variable="DATABASE_URL",
        words="Database, without its password",
        default="postgres://smsproxy@127.0.0.1:5432/smsproxy",
        check=lambda env, name: env.database(name, default=""),
    ),
    Question(
        variable="DATABASE_PASSWORD",
        words="Password of the database, empty if it needs none",
        is_secret=True,
        is_required=False,
        is_asked=_is_without_password,
    ),
    Question(
        variable="CARRIER",
        words="Carrier: vonage, or simulator for a trial without one",
        default="vonage",
        check=lambda env, name: env.choice(name, ["vonage", "simulator"], default=""),
    ),
    Question(variable="VONAGE_API_KEY", words="Vonage API key, from the dashboard", is_asked=_with_vonage),
    Question(
        variable="VONAGE_API_SECRET",
        words="Vonage API secret, from the dashboard",
        is_secret=True,
        is_asked=_with_vonage,
    ),
    Question(
        variable="VONAGE_SIGNATURE_SECRET",
        words="Vonage signature secret, from the dashboard",
        is_secret=True,
        is_asked=_with_vonage,
    ),
    Question(variable="OPERATOR_NAME", words="Your name, as people who text know it", is_required=False),
    Question(
        variable="OPERATOR_CONTACT", words="Where people get help: an address, a page or a number", is_required=False
    ),
)


def check(question: Question, answer: str) -> None:
    """Raise ImproperlyConfigured if the settings would reject this answer."""
    before = os.environ.get(question.variable)
    os.environ[question.variable] = answer
    try:
        if answer or question.is_required:
            question.check(Environment(Path(os.devnull)), question.variable)
    finally:
        if before is None:
            del os.environ[question.variable]
        else:
            os.environ[question.variable] = before


def with_password(database_url: str, password: str) -> str:
    """Return the URL with this password."""
    parts = urlsplit(database_url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{quote(password, safe='')}@{host}"))
