"""All checks, in the order in which they are made, and what each of them needs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from django.db import DatabaseError, InterfaceError

from conversations.insight.doctor import installation, site
from conversations.insight.doctor.account import Account
from conversations.insight.doctor.result import Result, Verdict, failed, skipped


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check. needs: names of checks that must not have failed, or it is skipped."""

    name: str
    run: Callable[[], Result]
    needs: tuple[str, ...] = ()


def checks(*, is_paid: bool) -> list[Check]:
    """Return all checks. is_paid: also make a lookup, which may cost money."""
    account = Account()
    webhook = ("webhook address",)
    return [
        Check(name="settings", run=installation.check_settings),
        Check(name=".env", run=installation.check_env_file),
        Check(name="debug", run=installation.check_debug),
        Check(name="operator", run=installation.check_operator),
        Check(name="database", run=installation.check_database),
        Check(name="migrations", run=installation.check_migrations, needs=("database",)),
        Check(name="clock", run=installation.check_clock, needs=("database",)),
        Check(name="credentials", run=account.check_credentials),
        Check(name="balance", run=account.check_balance, needs=("credentials",)),
        Check(name="numbers", run=account.check_numbers, needs=("migrations", "credentials")),
        Check(name="10DLC", run=account.check_registration, needs=("credentials",)),
        Check(name="lookup", run=partial(account.check_lookup, is_paid=is_paid), needs=("credentials",)),
        Check(name="webhook address", run=site.check_webhook_address),
        Check(name="certificate", run=site.check_certificate),
        Check(name="version", run=site.check_version, needs=webhook),
        Check(name="https", run=site.check_forwarded_scheme, needs=webhook),
        # In this order, or neither: an accepted webhook ends the count of rejected ones, which would become an alert.
        Check(name="unsigned webhook", run=site.check_unsigned, needs=(*webhook, "migrations")),
        Check(name="signed webhook", run=site.check_signed, needs=(*webhook, "migrations")),
        Check(name="worker", run=installation.check_worker, needs=("migrations",)),
        Check(name="alerts", run=installation.check_alerts, needs=("migrations",)),
        Check(name="staff", run=installation.check_staff, needs=("migrations",)),
        Check(name="API key", run=installation.check_api_key, needs=("migrations",)),
    ]


def examine(*, is_paid: bool = False) -> Iterator[tuple[str, Result]]:
    """Make all checks, and yield the name and the result of each. No check stops the ones after it."""
    results: dict[str, Result] = {}
    for check in checks(is_paid=is_paid):
        missing = next((name for name in check.needs if not _is_there(results[name])), None)
        results[check.name] = skipped(f"it needs: {missing}") if missing else _run(check)
        yield check.name, results[check.name]


def _is_there(needed: Result) -> bool:
    return needed.verdict in (Verdict.OK, Verdict.WARNING)


def _run(check: Check) -> Result:
    # An error's text may quote a value. Only its kind is shown.
    try:
        return check.run()
    except (DatabaseError, InterfaceError) as error:
        kind = type(error.__cause__ or error).__name__
        return failed(f"the database does not answer as it should ({kind})", "Is it running? Is DATABASE_URL right?")
    except Exception as error:  # noqa: BLE001  (one broken check must not hide the others)
        return failed(f"the check itself failed ({type(error).__name__})", "Report this, with the version.")
