"""Checks of the settings, the database, the clock and the workers."""

import os
from pathlib import Path

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.checks import WARNING, run_checks
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from conversations.insight.collect_status import collect_status
from conversations.insight.doctor.result import Result, failed, ok, skipped, warning
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import Severity
from conversations.models import Worker
from conversations.models.host_clock import MAX_SKEW, describe_skew
from smsproxy.api.models import ApiKey
from smsproxy.database.clock import database_now, measure_skew

POSTGRES_NEEDED = 14
# System checks that have a line of their own here.
_ELSEWHERE = {"smsproxy.W004", "smsproxy.E006", "security.W018"}


def check_settings() -> Result:
    problems = [
        problem
        for problem in run_checks(include_deployment_checks=True)
        if problem.level >= WARNING and not problem.is_silenced() and problem.id not in _ELSEWHERE
    ]
    if not problems:
        return ok("every setting is complete")
    sentences = (str(problem.msg).partition(". ")[0].rstrip(".") for problem in problems)
    detail = "; ".join(sentences)
    fix = " ".join(dict.fromkeys(str(problem.hint) for problem in problems if problem.hint))
    is_serious = any(problem.is_serious() for problem in problems)
    return (failed if is_serious else warning)(detail, fix or "Run manage.py check --deploy.")


def check_env_file() -> Result:
    file = Path(os.environ.get("ENV_FILE", settings.BASE_DIR / ".env"))
    if not file.is_file():
        return skipped(f"there is no {file}: the settings come from the environment")
    if file.stat().st_mode & 0o077:
        return warning(f"other users can read or write {file}, which has the keys", f"chmod 600 {file}")
    return ok(f"only its owner can read {file}")


def check_debug() -> Result:
    if settings.DEBUG:
        return failed("DEBUG=true: error pages and the log show numbers and messages", "Remove DEBUG.")
    return ok("off")


def check_operator() -> Result:
    missing = [name for name in ("OPERATOR_NAME", "OPERATOR_CONTACT") if not getattr(settings, name)]
    if missing:
        return warning(
            f"not set: {' and '.join(missing)}. The answers to STOP, START and HELP are incomplete",
            "Set it in .env, and restart the web server and the workers.",
        )
    return ok(f"{settings.OPERATOR_NAME}, {settings.OPERATOR_CONTACT}")


def check_database() -> Result:
    connection.ensure_connection()
    if connection.vendor != "postgresql":
        return warning("SQLite: one worker, and one writer at a time", "Set DATABASE_URL to a PostgreSQL.")
    major, minor = divmod(connection.cursor().connection.info.server_version, 10_000)
    if major < POSTGRES_NEEDED:
        return failed(f"PostgreSQL {major}.{minor}", f"Update it: PostgreSQL {POSTGRES_NEEDED} or newer is needed.")
    return ok(f"PostgreSQL {major}.{minor} answers")


def check_migrations() -> Result:
    executor = MigrationExecutor(connection)
    waiting = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if waiting:
        return failed(f"{len(waiting)} not applied, first {waiting[0][0]}", "Run manage.py migrate.")
    return ok("all applied")


def check_clock() -> Result:
    if connection.vendor != "postgresql":
        return skipped("SQLite has the clock of this host")
    skew = measure_skew()
    if abs(skew) > MAX_SKEW:
        return failed(f"the clock of this host is {describe_skew(skew)}", "Synchronise it, with chrony for example.")
    return ok(f"{abs(skew):.1f} s from that of the database")


def check_worker() -> Result:
    alive = list(Worker.objects.alive(database_now()))
    if not alive:
        return failed("none is running: messages are stored and wait", "Start manage.py relay.")
    troubles = [f"{worker.name}: {worker.trouble}" for worker in alive if worker.trouble]
    if troubles:
        return failed(f"{len(troubles)} of {len(alive)} send nothing. {troubles[0]}", "See docs/operating.md.")
    return ok(f"{len(alive)} running")


def check_alerts() -> Result:
    troubles = current.active(collect_status())
    if not troubles:
        return ok("none")
    is_critical = any(trouble.severity == Severity.CRITICAL for trouble in troubles)
    sentences = " ".join(trouble.sentence for trouble in troubles)
    return (failed if is_critical else warning)(sentences, "manage.py status says what to do about each.")


def check_staff() -> Result:
    if get_user_model().objects.filter(is_staff=True, is_active=True).exists():
        return ok("somebody can log in to the admin")
    return warning("nobody can log in to the admin", "Run manage.py createsuperuser.")


def check_api_key() -> Result:
    if ApiKey.objects.valid().exists():
        return ok("a backend can call the API")
    return warning("no backend can call the API", "Run manage.py create_api_key NAME.")
