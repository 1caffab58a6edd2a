"""What is paused, on the first page, and the acts that let it send again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.admin import AdminSite
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.insight.status import Status
from conversations.models import AccountRateLimit, NumberRateLimit
from smsproxy.staff.acts import Act, ActRefused, act_response
from smsproxy.states import StaleState

MAX_NUMBERS = 10


def _resume_account(account: AccountRateLimit, data: Mapping[str, Any], actor: str) -> str:
    if not account.resume(f"staff: send again now: {data['reason']}", actor=actor):
        raise ActRefused(_("Nothing was done: sending is not paused."))
    return _("Sending goes on. If the carrier refuses the next message, sending pauses again.")


def _resume_number(pace: NumberRateLimit, data: Mapping[str, Any], actor: str) -> str:
    try:
        pace.end_wait()
    except StaleState:
        raise ActRefused(_("Nothing was done: the number is not paused.")) from None
    return _("%(number)s sends again. If the carrier refuses its next message, it pauses again.") % {
        "number": pace.number.number
    }


def _grant_budget(account: AccountRateLimit, data: Mapping[str, Any], actor: str) -> str:
    try:
        budget = account.grant_budget(actor=actor).budget
    except StaleState:
        raise ActRefused(_("Nothing was done: there is no daily budget, or most of it is left.")) from None
    return _("Today may cost EUR %(budget)s.") % {"budget": f"{budget:.2f}"}


RESUME_ACCOUNT = Act[AccountRateLimit](
    name="resume-account",
    label=gettext_lazy("Send again now"),
    question=gettext_lazy("Send again now?"),
    effect=gettext_lazy(
        "All sending is paused, because the carrier refuses everything or cannot be reached. It tries again by itself. "
        "Do this after you have removed the cause: queued messages are sent at once."
    ),
    permission="conversations.change_accountratelimit",
    do=_resume_account,
)
RESUME_NUMBER = Act[NumberRateLimit](
    name="resume-number",
    label=gettext_lazy("Send again now"),
    question=gettext_lazy("Let this number send again now?"),
    effect=gettext_lazy(
        "The number is paused, because the carrier refuses its messages. It tries again by itself. "
        "Do this after you have removed the cause: its queued messages are sent at once."
    ),
    permission="conversations.change_numberratelimit",
    do=_resume_number,
)
GRANT_BUDGET = Act[AccountRateLimit](
    name="grant-budget",
    label=gettext_lazy("Allow the daily budget once more"),
    question=gettext_lazy("Allow the daily budget once more, for today?"),
    effect=gettext_lazy("Today may cost as much as DAILY_BUDGET again. Sending goes on at once. It costs money."),
    permission="conversations.change_accountratelimit",
    do=_grant_budget,
    is_dangerous=True,
)


@dataclass(frozen=True)
class PausedNumber:
    """A number that is paused. queued: the messages behind it, None if that was not counted. url: of its act, or ""."""

    number: str
    why: str
    since: datetime | None
    until: datetime
    queued: int | None
    url: str


@dataclass(frozen=True, kw_only=True)
class Pauses:
    """The pauses that the user may see. account_url: of the act, or "" without the right. more: numbers not shown."""

    shows_account: bool
    account_url: str
    numbers: Sequence[PausedNumber] | None
    more: int

    @property
    def shows_anything(self) -> bool:
        return self.shows_account or self.numbers is not None


def collect(request: HttpRequest, status: Status) -> Pauses:
    """Read the pauses. Two queries, if the user may see those of numbers."""
    may = request.user.has_perm
    numbers, more = _numbers(request, status) if may("conversations.view_numberratelimit") else (None, 0)
    may_resume = status.account.is_paused and may(RESUME_ACCOUNT.permission)
    return Pauses(
        shows_account=may("conversations.view_accountratelimit"),
        account_url=reverse("admin:home_resume_account") if may_resume else "",
        numbers=numbers,
        more=more,
    )


def _numbers(request: HttpRequest, status: Status) -> tuple[list[PausedNumber], int]:
    queued = {each.number: each.queued for each in status.waiting_numbers}
    may_resume = request.user.has_perm(RESUME_NUMBER.permission)
    paused = NumberRateLimit.objects.paused().order_by("waits_since", "pk")
    rows = paused.select_related("number")[:MAX_NUMBERS]
    found = [
        PausedNumber(
            number=pace.number.number,
            why=pace.pause_reason,
            since=pace.waits_since,
            until=pace.ready_at,
            queued=queued.get(pace.number.number),
            url=reverse("admin:home_resume_number", args=[pace.pk]) if may_resume else "",
        )
        for pace in rows
    ]
    return found, max(paused.count() - len(found), 0)


def urls(site: AdminSite) -> list[URLPattern]:
    """Return the URLs of the acts."""

    def account_act(act: Act[AccountRateLimit]) -> Any:
        def view(request: HttpRequest) -> HttpResponse:
            return act_response(request, act, AccountRateLimit.load(), site=site, back=reverse("admin:index"))

        return site.admin_view(view)

    def resume_number(request: HttpRequest, pk: int) -> HttpResponse:
        pace = NumberRateLimit.objects.select_related("number").filter(pk=pk).first()
        if pace is None:
            raise Http404
        shown = {"object": pace.number}
        return act_response(request, RESUME_NUMBER, pace, site=site, back=reverse("admin:index"), context=shown)

    return [
        path("home/account/resume/", account_act(RESUME_ACCOUNT), name="home_resume_account"),
        path("home/account/grant-budget/", account_act(GRANT_BUDGET), name="home_grant_budget"),
        path("home/numbers/<int:pk>/resume/", site.admin_view(resume_number), name="home_resume_number"),
    ]
