"""The groups of staff, and the rights that a migration gives them once. docs/staff.md has the same table."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.apps import apps as installed
from django.contrib.auth.management import create_permissions

SUPPORT, TRUST, OPERATIONS, AUDITOR = "Support", "Trust & safety", "Operations", "Auditor"
GROUPS = (SUPPORT, TRUST, OPERATIONS, AUDITOR)


@dataclass(frozen=True)
class Right:
    """What some groups may do. permissions: all that it takes, such as "conversations.view_conversation"."""

    what: str
    groups: tuple[str, ...]
    permissions: tuple[str, ...]


def _views(app: str, *models: str) -> tuple[str, ...]:
    return tuple(f"{app}.view_{model}" for model in models)


RIGHTS = (
    Right(
        "see conversations and threads, with the texts covered",
        GROUPS,
        _views(
            "conversations",
            *("conversation", "participant", "conversationevent", "inboundmessage", "outboundmessage", "apimessage"),
            *("longmessage", "messageevent", "outboundpart", "deliveryreceipt"),
        ),
    ),
    Right("show the texts, for a reason", (SUPPORT, TRUST), ("conversations.read_message_text",)),
    Right(
        "close, reopen and extend conversations, put them on hold and release them",
        (SUPPORT, TRUST),
        ("conversations.change_conversation",),
    ),
    Right(
        "text all participants as the service",
        (SUPPORT, TRUST),
        ("conversations.message_participants",),
    ),
    Right("read internal notes", (SUPPORT, TRUST, AUDITOR), ("conversations.view_conversationnote",)),
    Right("write internal notes", (SUPPORT, TRUST), ("conversations.add_conversationnote",)),
    Right(
        "send a message again, or drop it",
        (SUPPORT, TRUST, OPERATIONS),
        ("conversations.change_outboundmessage",),
    ),
    Right("see the inbox", (SUPPORT, TRUST, AUDITOR), ("conversations.view_inboxitem",)),
    Right("work the inbox: take, attach, answer, dismiss", (SUPPORT, TRUST), ("conversations.change_inboxitem",)),
    Right(
        "find a caller, and see a person's page with the number masked",
        (SUPPORT, TRUST, AUDITOR),
        _views("numbers", "realnumber", "personevent"),
    ),
    Right("show a number in full, for a reason", (TRUST,), ("numbers.reveal_realnumber",)),
    Right("see blocks", (SUPPORT, TRUST, AUDITOR), _views("conversations", "block")),
    Right("block a person or a pair", (SUPPORT, TRUST), ("conversations.add_block",)),
    Right(
        "block all numbers with a prefix, and see whom one covers",
        (TRUST,),
        ("conversations.add_block", "numbers.reveal_realnumber"),
    ),
    Right("end a block", (TRUST,), ("conversations.change_block",)),
    Right("end an opt-out", (TRUST,), ("numbers.end_opt_out",)),
    Right("see who is near a limit", (TRUST, OPERATIONS, AUDITOR), _views("conversations", "limitusage")),
    Right(
        "see the pool: numbers, pools, orders, top-ups, shortages",
        (OPERATIONS, AUDITOR),
        _views(
            "numbers",
            *("virtualnumber", "numberevent", "pool", "poollevel", "numberorder", "orderevent", "topup"),
            *("shortage", "shortagecount"),
        ),
    ),
    Right("drain, quarantine and restore numbers", (OPERATIONS,), ("numbers.change_virtualnumber",)),
    Right("import numbers from a CSV file", (OPERATIONS,), ("numbers.add_virtualnumber",)),
    Right(
        "replace numbers, and give them back",
        (OPERATIONS,),
        ("numbers.replace_virtualnumber", "numbers.release_virtualnumber"),
    ),
    Right(
        "buy numbers, and abandon an order", (OPERATIONS,), ("numbers.add_numberorder", "numbers.change_numberorder")
    ),
    Right(
        "create, change and delete pools and top-ups",
        (OPERATIONS,),
        tuple(f"numbers.{verb}_{model}" for model in ("pool", "topup") for verb in ("add", "change", "delete")),
    ),
    Right(
        "see the state of the service: workers, pauses, troubles, webhooks, metrics",
        (OPERATIONS, AUDITOR),
        (
            *_views(
                "conversations",
                *("worker", "hostclock", "joblease", "accountratelimit", "accountevent", "numberratelimit"),
                *("troubleepisode", "recordsearch", "rejectedwebhook", "webhookwatch", "sitecertificate"),
                *("unreadablerow", "texterasure", "retentionmark", "hourlysample", "dailyspend"),
            ),
            "metrics.view_metricvalue",
            "events.view_feedevent",
        ),
    ),
    Right(
        "end a pause, and grant budget",
        (OPERATIONS,),
        ("conversations.change_accountratelimit", "conversations.change_numberratelimit"),
    ),
    Right(
        "see services and API keys",
        (OPERATIONS, AUDITOR),
        (*_views("services", "service", "servicetext"), *_views("api", "apikey", "idempotencyrecord")),
    ),
    Right(
        "create and change services and their texts; create, rotate and revoke API keys",
        (OPERATIONS,),
        (
            *(f"services.{verb}_{model}" for model in ("service", "servicetext") for verb in ("add", "change")),
            "services.delete_servicetext",
            "api.add_apikey",
            "api.change_apikey",
        ),
    ),
    Right(
        "read the audit, and see users and groups",
        (AUDITOR,),
        (*_views("staff", "auditentry", "auditedperson", "reveal"), *_views("auth", "user", "group")),
    ),
)


def permissions_of(group: str) -> list[str]:
    """Return the permissions of this group, in the order of RIGHTS."""
    return [name for right in RIGHTS if group in right.groups for name in right.permissions]


def make_groups(apps: Any, names: Iterable[str] = GROUPS) -> None:
    """Create the groups that do not exist yet, with their rights. A group that exists stays as it is.

    apps: those of the migration. A permission whose model does not exist in them is left out.
    """
    group_model, permission_model = apps.get_model("auth", "Group"), apps.get_model("auth", "Permission")
    # Django creates permissions at the end of `migrate`. The groups need them now.
    for app in sorted({name.partition(".")[0] for right in RIGHTS for name in right.permissions}):
        create_permissions(installed.get_app_config(app), verbosity=0, apps=apps)
    found = {
        f"{app}.{codename}": pk
        for app, codename, pk in permission_model.objects.values_list("content_type__app_label", "codename", "pk")
    }
    for name in names:
        group, is_new = group_model.objects.get_or_create(name=name)
        if is_new:
            group.permissions.add(*(found[each] for each in permissions_of(name) if each in found))
