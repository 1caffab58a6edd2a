"""System checks of settings that allow the program to run, but not safely. Each check says how to fix it.

Settings with which the program cannot run are rejected in settings.py.
"""

import datetime
import sqlite3
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection
from django.http.request import validate_host
from django.utils import timezone

from smsproxy import tracing

# `manage.py check --tag smsproxy` runs these alone.
TAG = "smsproxy"
SQLITE_NEEDED = (3, 35)
NUMBER_INSIGHT_ENDS = datetime.date(2027, 2, 4)


@register(TAG)
def the_name_numbers(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not (settings.BASE_DIR / "numbers" / "__init__.py").exists():
        return []
    return [
        Error(
            "numbers/__init__.py exists: it hides Python's standard module numbers, which decimal needs.",
            hint="Delete it. smsproxy/__init__.py makes the app importable without it.",
            id="smsproxy.E001",
        )
    ]


@register(TAG)
def sqlite_version(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if connection.vendor != "sqlite" or sqlite3.sqlite_version_info >= SQLITE_NEEDED:
        return []
    return [
        Error(
            f"SQLite 3.35 or newer is needed, this is {sqlite3.sqlite_version}: the worker's statements use RETURNING.",
            hint="Update SQLite, or use PostgreSQL (DATABASE_URL).",
            id="smsproxy.E007",
        )
    ]


@register(TAG)
def vonage_credentials(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.CARRIER != "vonage":
        return []
    return [
        Error(
            f"CARRIER=vonage, but {name} is not set.",
            hint="Copy both from the first page of Vonage's dashboard, or set CARRIER=simulator.",
            id="smsproxy.E002",
        )
        for name in ("VONAGE_API_KEY", "VONAGE_API_SECRET")
        if not getattr(settings, name)
    ]


@register(TAG)
def debug(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.DEBUG or settings.CARRIER != "vonage":
        return []
    return [
        Error(
            "CARRIER=vonage, but DEBUG=true: error pages and the log would show people's numbers and messages.",
            hint="Remove DEBUG, or set CARRIER=simulator.",
            id="smsproxy.E006",
        )
    ]


@register(TAG)
def public_url(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    problems: list[CheckMessage] = []
    parts = urlsplit(settings.PUBLIC_URL)
    if settings.CARRIER == "vonage" and parts.scheme != "https":
        problems.append(
            Error(
                f"CARRIER=vonage, but PUBLIC_URL is {settings.PUBLIC_URL}: messages would travel unencrypted.",
                hint="Set PUBLIC_URL to the https address under which Vonage reaches this site.",
                id="smsproxy.E003",
            )
        )
    if not parts.hostname or not validate_host(parts.hostname, settings.ALLOWED_HOSTS):
        problems.append(
            Error(
                f"The host of PUBLIC_URL ({settings.PUBLIC_URL}) is not in ALLOWED_HOSTS: webhooks would be rejected.",
                hint=f"Add {parts.hostname or 'the host'} to ALLOWED_HOSTS.",
                id="smsproxy.E004",
            )
        )
    return problems


@register(TAG)
def lookup(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.LOOKUP == "identity_insights" and settings.CARRIER == "vonage":
        return [
            Error(
                f"LOOKUP=identity_insights, but {name} is not set.",
                hint="Identity Insights authenticates with a Vonage application and its private key. Set both.",
                id="smsproxy.E005",
            )
            for name in ("VONAGE_APPLICATION_ID", "VONAGE_PRIVATE_KEY")
            if not getattr(settings, name)
        ]
    if ending := number_insight_ends(timezone.now().date()):
        return [Warning(ending, hint="Set LOOKUP=identity_insights, or LOOKUP=offline.", id="smsproxy.W001")]
    return []


def number_insight_ends(today: datetime.date) -> str:
    """Return that the lookup service in use ends, as a sentence. "": another one is in use, or none."""
    if settings.LOOKUP != "number_insight":
        return ""
    when = "was" if today >= NUMBER_INSIGHT_ENDS else "will be"
    return f"LOOKUP=number_insight: Vonage's Number Insight {when} switched off on {NUMBER_INSIGHT_ENDS}."


@register(TAG)
def unsigned_webhooks(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.VONAGE_SIGNATURE_SECRETS or not settings.ALLOW_UNSIGNED_WEBHOOKS:
        return []
    return [
        Warning(
            "Webhooks are not signed: anyone who finds their URL can post messages.",
            hint="Ask Vonage's support to sign them, set VONAGE_SIGNATURE_SECRET, and remove ALLOW_UNSIGNED_WEBHOOKS.",
            id="smsproxy.W002",
        )
    ]


@register(TAG)
def opentelemetry(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if not settings.OTEL_EXPORTER_OTLP_ENDPOINT or tracing.is_installed():
        return []
    return [
        Warning(
            tracing.MISSING,
            hint="Run `pip install -r requirements-otel.txt`, or remove the setting.",
            id="smsproxy.W005",
        )
    ]


@register(TAG, deploy=True)
def operator(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.CARRIER != "vonage":
        return []
    return [
        Warning(
            f"CARRIER=vonage, but {name} is not set: the answers to STOP, START and HELP do not say {what}.",
            hint="Set it. Carriers, and the law in many countries, require these answers to name the sender.",
            id="smsproxy.W004",
        )
        for name, what in (("OPERATOR_NAME", "who sends them"), ("OPERATOR_CONTACT", "where people get help"))
        if not getattr(settings, name)
    ]


@register(Tags.security, deploy=True)
def simulated_carrier(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    if settings.CARRIER != "simulator":
        return []
    return [
        Warning(
            "CARRIER=simulator: no real message is sent, and anyone can use the simulated phones.",
            hint="Set CARRIER=vonage in production.",
            id="smsproxy.W003",
        )
    ]
