"""Staff let the account or a number send again from the first page, for a reason that the audit keeps."""

import pytest
from django.contrib.messages import get_messages
from django.urls import reverse

from conversations.models import AccountEvent, AccountRateLimit, NumberRateLimit
from smsproxy.staff.models import AuditEntry
from tests.support import dashboard
from tests.support.builders import add_numbers

HOME = reverse("admin:index")
RESUME = reverse("admin:home_resume_account")
GRANT = reverse("admin:home_grant_budget")
REASON = {"reason": "ticket 4711"}


@pytest.fixture
def number(db):
    [number] = add_numbers(1)
    dashboard.pause_number(number)
    return number


@pytest.fixture
def paused(db):
    AccountRateLimit.pause("no credit", 60, code="9")


def told(answer):
    return [(message.level_tag, message.message) for message in get_messages(answer.wsgi_request)]


def audit():
    return list(AuditEntry.objects.values_list("actor", "detail", "reason"))


def test_the_account_sends_again(staff, paused):
    client = staff("view_accountratelimit", "change_accountratelimit")
    assert f'href="{RESUME}"' in client.get(HOME).content.decode()
    assert "queued messages are sent at once" in client.get(RESUME).content.decode()

    answer = client.post(RESUME, REASON)

    assert answer.url == HOME
    assert [level for level, _ in told(answer)] == ["success"]
    assert not AccountRateLimit.load().is_paused
    assert audit() == [("sam", "resume-account", "ticket 4711")]
    event = AccountEvent.objects.latest("pk")
    assert (event.actor, event.reason) == ("sam", "staff: send again now: ticket 4711")


def test_without_a_reason_nothing_happens(staff, paused):
    client = staff("view_accountratelimit", "change_accountratelimit")

    assert "found nothing" in client.post(RESUME, {"reason": ""}).content.decode()

    assert AccountRateLimit.load().is_paused
    assert audit() == []


def test_an_account_that_is_not_paused_is_a_refusal(staff):
    client = staff("change_accountratelimit")

    assert [level for level, _ in told(client.post(RESUME, REASON))] == ["error"]
    assert audit() == []


def test_a_number_sends_again(staff, number):
    client = staff("view_numberratelimit", "change_numberratelimit")
    address = reverse("admin:home_resume_number", args=[number.pk])
    assert f'href="{address}"' in client.get(HOME).content.decode()

    answer = client.post(address, REASON)

    assert [level for level, _ in told(answer)] == ["success"]
    assert not NumberRateLimit.objects.paused().exists()
    assert audit() == [("sam", "resume-number", "ticket 4711")]


def test_a_number_that_is_not_paused_is_a_refusal(staff, number):
    NumberRateLimit.objects.get().end_wait()
    client = staff("change_numberratelimit")

    answer = client.post(reverse("admin:home_resume_number", args=[number.pk]), REASON)

    assert [level for level, _ in told(answer)] == ["error"]
    assert audit() == []


def test_an_unknown_number_is_not_found(staff):
    client = staff("change_numberratelimit")

    assert client.get(reverse("admin:home_resume_number", args=[4711])).status_code == 404


def test_the_budget_is_allowed_once_more_when_most_of_it_is_spent(staff, settings):
    settings.DAILY_BUDGET = 20
    dashboard.add_spend()
    client = staff("view_accountratelimit", "change_accountratelimit")
    assert f'href="{GRANT}"' in client.get(HOME).content.decode()

    client.post(GRANT, REASON)

    assert AccountRateLimit.load().budget == 40
    assert audit() == [("sam", "grant-budget", "ticket 4711")]
    assert GRANT not in client.get(HOME).content.decode()
    assert [level for level, _ in told(client.post(GRANT, REASON))][-1:] == ["error"]


def test_staff_without_the_right_see_the_pause_and_no_button(staff, paused, number):
    client = staff("view_accountratelimit", "view_numberratelimit")

    html = client.get(HOME).content.decode()

    assert "no credit" in html
    assert "this sender is not allowed" in html
    assert "Send again now" not in html
    for address in (RESUME, GRANT, reverse("admin:home_resume_number", args=[number.pk])):
        assert client.post(address, REASON).status_code == 403
    assert AccountRateLimit.load().is_paused


def test_only_some_paused_numbers_are_shown_and_the_others_are_counted(admin_client):
    for number in add_numbers(13):
        dashboard.pause_number(number)

    html = admin_client.get(HOME).content.decode()

    assert html.count("this sender is not allowed") == 10
    assert "3 more numbers are paused" in html
