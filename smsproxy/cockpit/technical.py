"""The page "Technical": every list of records, grouped by job, with a line on what each is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

Group = tuple[Any, Mapping[str, Any]]

# Each group by job, with its models. A model that is not named here is shown under "More", and fails a test.
GROUPS: Sequence[Group] = (
    (
        gettext_lazy("Conversations"),
        {
            "conversations.conversation": gettext_lazy("Two to ten people who may text each other."),
            "conversations.participant": gettext_lazy("A person in one conversation, with their proxy number."),
            "conversations.conversationevent": gettext_lazy("When a conversation was opened, closed or put on hold."),
            "conversations.conversationnote": gettext_lazy("What staff wrote about a conversation, for each other."),
            "conversations.block": gettext_lazy("People whose texts are not passed on."),
            "conversations.limitusage": gettext_lazy("How much of a limit a person or a conversation has used."),
        },
    ),
    (
        gettext_lazy("Texts"),
        {
            "conversations.inboxitem": gettext_lazy("Texts and conversations that wait for a decision of staff."),
            "conversations.inboundmessage": gettext_lazy("Texts that people sent to our virtual numbers."),
            "conversations.longmessage": gettext_lazy("Long texts that arrive in several parts, and are joined."),
            "conversations.outboundmessage": gettext_lazy(
                "Texts that we send to people’s phones, and what became of them."
            ),
            "conversations.outboundpart": gettext_lazy("The parts of a long outbound text, each with its price."),
            "conversations.messageevent": gettext_lazy("Each step of an outbound text, from queued to delivered."),
            "conversations.deliveryreceipt": gettext_lazy("What the carrier reported about outbound texts."),
            "conversations.apimessage": gettext_lazy("Texts that a service sent into a conversation."),
            "events.feedevent": gettext_lazy("What services read to learn what happened."),
        },
    ),
    (
        gettext_lazy("Numbers"),
        {
            "numbers.virtualnumber": gettext_lazy("The numbers that we rent."),
            "numbers.numberevent": gettext_lazy("When a virtual number was bought, quarantined or retired."),
            "numbers.plan": gettext_lazy("How many numbers will be needed, and when they run out."),
            "numbers.pool": gettext_lazy("Named sets of numbers, with their own cool-down and cap."),
            "numbers.poollevel": gettext_lazy("How many numbers are left for the busiest person of each country."),
            "numbers.shortage": gettext_lazy("Conversations that were rejected because no number was free."),
            "numbers.shortagecount": gettext_lazy("How many of them there ever were, by pool and country."),
            "numbers.topup": gettext_lazy("Rules that buy numbers by themselves, within a budget."),
            "numbers.numberorder": gettext_lazy("Purchases of numbers, and what they cost."),
            "numbers.orderevent": gettext_lazy("The steps of each purchase."),
        },
    ),
    (
        gettext_lazy("Sending"),
        {
            "conversations.accountratelimit": gettext_lazy("Whether the account sends, and what today has cost."),
            "conversations.accountevent": gettext_lazy("When all sending paused and went on."),
            "conversations.numberratelimit": gettext_lazy("When each number may send next, and why it is paused."),
            "conversations.recordsearch": gettext_lazy("The search for unknown outcomes in the carrier’s records."),
            "conversations.webhookwatch": gettext_lazy("When the carrier last called us."),
            "conversations.rejectedwebhook": gettext_lazy("Counts of calls that were not signed correctly."),
            "conversations.dailyspend": gettext_lazy("What the texts of each past day cost."),
        },
    ),
    (
        gettext_lazy("People and rights"),
        {
            "numbers.realnumber": gettext_lazy("People, by their own phone number, masked; and their opt-outs."),
            "numbers.personevent": gettext_lazy("When a person opted out and in."),
            "auth.user": gettext_lazy("Members of staff."),
            "auth.group": gettext_lazy("What each kind of staff may do."),
            "staff.auditentry": gettext_lazy("Who saw or did what, when and why."),
            "staff.reveal": gettext_lazy("Numbers and texts that are uncovered at the moment."),
            "otp_totp.totpdevice": gettext_lazy("Authenticator apps of staff."),
            "otp_static.staticdevice": gettext_lazy("Recovery codes of staff."),
            "axes.accessattempt": gettext_lazy("Failed sign-ins, which lock a user name for a while."),
            "axes.accessfailurelog": gettext_lazy("Failed sign-ins of the past."),
            "axes.accesslog": gettext_lazy("Sign-ins of the past."),
        },
    ),
    (
        gettext_lazy("Services"),
        {
            "services.service": gettext_lazy("Marketplaces, brands or environments, with their limits."),
            "services.servicetext": gettext_lazy("The texts that a service sends, by language."),
            "api.apikey": gettext_lazy("Keys with which a service calls the API."),
            "api.idempotencyrecord": gettext_lazy("Answers that a repeated request gets again."),
        },
    ),
    (
        gettext_lazy("Operation"),
        {
            "conversations.worker": gettext_lazy("Processes that send, and their last heartbeat."),
            "conversations.joblease": gettext_lazy("Which worker runs the periodic jobs."),
            "conversations.troubleepisode": gettext_lazy("What was wrong, from when to when."),
            "conversations.hourlysample": gettext_lazy("The figures of each hour, behind the first page."),
            "metrics.metricvalue": gettext_lazy("The counters of /metrics."),
            "conversations.hostclock": gettext_lazy("How far the clocks of our hosts are wrong."),
            "conversations.sitecertificate": gettext_lazy("The certificate of our address, and when it ends."),
            "conversations.unreadablerow": gettext_lazy("Rows that no key can decrypt."),
            "conversations.retentionmark": gettext_lazy("How far the deletion of old rows has come."),
            "conversations.texterasure": gettext_lazy("How far the erasing of old texts has come."),
        },
    ),
    (
        gettext_lazy("Simulator"),
        {
            "simulator.simulatedhandset": gettext_lazy("Phones of the simulated network."),
            "simulator.simulatedtext": gettext_lazy("Texts on those phones."),
            "simulator.simulatednumber": gettext_lazy("Numbers that the simulated account rents."),
            "simulator.simulatedfault": gettext_lazy("Faults that the simulated network is told to make."),
            "simulator.delayedpost": gettext_lazy("Messages and receipts that the simulated network still carries."),
        },
    ),
)


@dataclass(frozen=True)
class Entry:
    """A list of records. add_url: "" if the user may not add one, or nobody may."""

    name: str
    about: Any
    url: str
    add_url: str


@dataclass(frozen=True)
class ShownGroup:
    """A group with the lists that the user may see."""

    name: Any
    entries: Sequence[Entry]


def groups_of(request: HttpRequest, site: AdminSite) -> list[ShownGroup]:
    """Return the lists that the user may see, by group. Nothing is left out: the rest is under "More"."""
    found = {
        f"{app['app_label']}.{model['object_name'].lower()}": model
        for app in site.get_app_list(request)
        for model in app["models"]
        if model["admin_url"]
    }
    shown = [
        ShownGroup(name, [_entry(found.pop(label), about) for label, about in models.items() if label in found])
        for name, models in GROUPS
    ]
    more = ShownGroup(_("More"), [_entry(model, "") for model in found.values()])
    return [group for group in [*shown, more] if group.entries]


def _entry(model: Mapping[str, Any], about: Any) -> Entry:
    return Entry(capfirst(str(model["name"])), about, model["admin_url"], model.get("add_url") or "")


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the URL of the page."""

    def technical(request: HttpRequest) -> TemplateResponse:
        context = {**site.each_context(request), "title": _("Technical"), "groups": groups_of(request, site)}
        return TemplateResponse(request, "admin/technical.html", context)

    return [path("technical/", site.admin_view(technical), name="technical")]
