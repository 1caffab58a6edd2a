"""All kinds of trouble: how bad each is, its title, and what to do. docs/alerts.md has a section for each."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext_noop as _


class Severity(StrEnum):
    CRITICAL = "critical"
    """Messages wait, are refused or get lost: wake somebody."""
    WARNING = "warning"
    """Messages flow. A person should act within a day."""


class Trouble(StrEnum):
    """A condition that operators or staff should act on. Its value is its id."""

    PAUSED = "paused"
    BUDGET = "budget"
    BUDGET_WARNING = "budget_warning"
    NO_WORKER = "no_worker"
    WORKER_GONE = "worker_gone"
    WORKER_WAITS = "worker_waits"
    UNDECIDED = "undecided"
    RECONCILE = "reconcile"
    HELD_CONVERSATIONS = "held_conversations"
    QUARANTINED = "quarantined"
    SHORTAGES = "shortages"
    RENTED_BUT_RETIRED = "rented_but_retired"
    TOP_UP = "top_up"
    ORDERS = "orders"
    POOL_LOW = "pool_low"
    WEBHOOKS_REFUSED = "webhooks_refused"
    WEBHOOKS_SILENT = "webhooks_silent"
    UNDELIVERED = "undelivered"
    CONFIRMATIONS = "confirmations"
    CERTIFICATE = "certificate"
    SIGNATURE_SECRET = "signature_secret"  # noqa: S105
    CLOCK = "clock"
    UNREADABLE = "unreadable"
    LONG_TRANSACTION = "long_transaction"
    MIGRATIONS = "migrations"
    VERSIONS = "versions"
    LOOKUP_ENDS = "lookup_ends"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """title: a sentence without details, which anybody may read. action: what to do, in one or two sentences."""

    severity: Severity
    title: str
    action: str


def _critical(title: str, action: str) -> Kind:
    return Kind(severity=Severity.CRITICAL, title=title, action=action)


def _warning(title: str, action: str) -> Kind:
    return Kind(severity=Severity.WARNING, title=title, action=action)


KINDS: Mapping[Trouble, Kind] = {
    Trouble.PAUSED: _critical(
        _("All sending is paused."),
        _("Read the reason. Top up credit or correct the credentials. Sending resumes by itself."),
    ),
    Trouble.BUDGET: _critical(
        _("The daily budget is reached."),
        _("Find out who sends so much. Then run manage.py grant_budget, or wait until midnight UTC."),
    ),
    Trouble.BUDGET_WARNING: _warning(
        _("The daily budget will soon be reached."),
        _("Find out who sends so much. Raise DAILY_BUDGET, or run manage.py grant_budget."),
    ),
    Trouble.NO_WORKER: _critical(_("No worker is running."), _("Start manage.py relay.")),
    Trouble.WORKER_GONE: _warning(
        _("A worker has stopped without signing off."),
        _("Read its log: it was killed, its host failed, or it lost the database. Start it again."),
    ),
    Trouble.WORKER_WAITS: _critical(
        _("A worker sends nothing."),
        _("Check the network, the DNS, the certificates and the clock of its host. Other workers go on sending."),
    ),
    Trouble.UNDECIDED: _warning(
        _("Messages with an unknown outcome need a decision."),
        _('Open the inbox in the admin, or "Outbound messages" with the filter "unknown": send each again or drop it.'),
    ),
    Trouble.RECONCILE: _warning(
        _("The carrier's records cannot be searched."),
        _(
            "Read the reason: the credentials, the subscription to the records, or RECONCILE_REQUESTS_PER_HOUR. "
            "Or set RECONCILE=off."
        ),
    ),
    Trouble.HELD_CONVERSATIONS: _warning(
        _("Conversations are on hold."), _("Read why in the admin, then release or close them.")
    ),
    Trouble.QUARANTINED: _warning(
        _("Virtual numbers are in quarantine."),
        _("Read the reason in the admin. Restore the numbers, or run manage.py replace_number."),
    ),
    Trouble.SHORTAGES: _critical(
        _("Conversations are refused, because no number is free."),
        _("Rent numbers with manage.py provision_numbers, or shorten the cool-down."),
    ),
    Trouble.RENTED_BUT_RETIRED: _warning(
        _("Retired numbers are still rented."), _("Run manage.py release_numbers --retired to cancel them.")
    ),
    Trouble.TOP_UP: _warning(
        _("A top-up failed to buy numbers."), _("Read the reason, and change the top-up in the admin.")
    ),
    Trouble.ORDERS: _warning(
        _("An order of numbers cannot go on."),
        _("Read why on the order's page in the admin. Fix it, or stop the order."),
    ),
    Trouble.POOL_LOW: _warning(
        _("A pool has few numbers left."),
        _("Rent numbers with manage.py provision_numbers, or add a top-up in the admin."),
    ),
    Trouble.WEBHOOKS_REFUSED: _critical(
        _("Webhooks are refused, and none is accepted."),
        _("Compare the signature secret and method of the settings with the carrier's. Run manage.py doctor."),
    ),
    Trouble.WEBHOOKS_SILENT: _warning(
        _("No webhook has come for much longer than usual."),
        _("Run manage.py doctor: it calls the webhook address from outside and asks which numbers point to it."),
    ),
    Trouble.UNDELIVERED: _critical(
        _("Many messages fail or are not delivered."),
        _('Look at the error codes of the newest "Outbound messages" in the admin. Then ask the carrier.'),
    ),
    Trouble.CONFIRMATIONS: _warning(
        _("Confirmations of new conversations did not arrive."),
        _("Those people do not know which number to text. The marketplace should check their numbers."),
    ),
    Trouble.CERTIFICATE: _critical(
        _("The TLS certificate of the site is not valid, or ends soon."),
        _("Renew it. Carriers send no webhooks to a site without a valid certificate."),
    ),
    Trouble.SIGNATURE_SECRET: _warning(
        _("Webhooks are signed with an old secret."),
        _("Have the carrier sign with the new one before the old one ends. Then remove the old one."),
    ),
    Trouble.CLOCK: _critical(
        _("The clock of a host is wrong."), _("Synchronise it with NTP, with chrony for example.")
    ),
    Trouble.UNREADABLE: _critical(
        _("Rows cannot be decrypted."),
        _("Add the key that encrypted them to ENCRYPTION_KEYS, after the current one, and restart all processes."),
    ),
    Trouble.LONG_TRANSACTION: _warning(
        _("A database transaction has been open for too long."),
        _("Find out who holds it, and end it: SELECT pg_terminate_backend(pid). It slows sending more and more."),
    ),
    Trouble.MIGRATIONS: _critical(
        _("The database and the code have different migrations."),
        _("Run manage.py migrate, or deploy the code that fits the database."),
    ),
    Trouble.VERSIONS: _warning(
        _("Processes run different versions."), _("Restart the old ones, unless an upgrade is under way.")
    ),
    Trouble.LOOKUP_ENDS: _warning(
        _("The lookup service is about to end."), _("Set LOOKUP=identity_insights, or LOOKUP=offline.")
    ),
}


def docs_link(kind: Trouble) -> str:
    """Return the section of the documentation, as a path in the repository."""
    return f"docs/alerts.md#{kind.value}"
