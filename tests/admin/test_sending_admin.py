"""Staff see each pause with its reason, resume sending, and set the rate of a number."""

import pytest
from django.urls import reverse
from django.utils import timezone
from selenium.webdriver.common.by import By

from conversations.models import AccountRateLimit, AccountState, NumberRateLimit, OutboundMessage, Worker
from numbers.models import NumberState, VirtualNumber
from smsproxy.staff.models import AuditEntry
from tests.support.browser import chromium, soon
from tests.support.builders import add_numbers
from tests.support.outbox import queue

NOT_ALLOWED = "this sender is not allowed"
NO_CREDIT = "the account has no credit"
# Management form of the event inline on a number page.
NO_EVENTS = {"events-TOTAL_FORMS": 0, "events-INITIAL_FORMS": 0}


@pytest.fixture
def number(db):
    """Return a virtual number that the carrier refuses: quarantined and waiting."""
    [number] = add_numbers(1, start="+4477009007")
    number.quarantine(reason=NOT_ALLOWED)
    NumberRateLimit.objects.wait(number, 300, NOT_ALLOWED)
    return number


@pytest.fixture
def account(db):
    """Return the rate limit of the paused account."""
    AccountRateLimit.pause(NO_CREDIT, 60, code="9")
    return AccountRateLimit.load()


def page(model, *args):
    app = "numbers" if model == "virtualnumber" else "conversations"
    return reverse(f"admin:{app}_{model}_{'change' if args else 'changelist'}", args=args)


def act(client, model, action, row):
    answer = client.post(
        page(model), {"action": action, "reason": "for the test", "_selected_action": row.pk}, follow=True
    )
    return answer.content.decode()


def waits(number):
    pace = NumberRateLimit.objects.get(number=number)
    return pace.ready_at > timezone.now() and pace.pause_reason != ""


# Resuming -------------------------------------------------------------------------------------------------------------


def test_resuming_the_account_records_the_staff_member(staff, account):
    client = staff("view_accountratelimit", "change_accountratelimit")

    resume = reverse("admin:home_resume_account")
    assert "Sending goes on." in client.post(resume, {"reason": "for the test"}, follow=True).text

    account.refresh_from_db()
    assert account.state == AccountState.SENDING
    assert account.events.first().actor == "sam"
    assert "sending is not paused" in client.post(resume, {"reason": "for the test"}, follow=True).text


def test_ending_the_wait_of_a_number_records_the_staff_member(staff, number):
    client = staff("view_numberratelimit", "change_numberratelimit")

    assert "1 done." in act(client, "numberratelimit", "end_wait", number)

    assert not waits(number)
    entry = AuditEntry.objects.get()
    assert (entry.object_id, entry.actor, entry.detail) == (str(number.pk), "sam", "end_wait")
    assert entry.reason == "for the test"
    assert "0 done, 1 refused" in act(client, "numberratelimit", "end_wait", number)


def test_restoring_a_number_ends_its_wait(staff, number):
    client = staff("view_virtualnumber", "change_virtualnumber")

    assert "1 done." in act(client, "virtualnumber", "restore", number)

    assert not waits(number)
    number.refresh_from_db()
    assert number.state == NumberState.ACTIVE


def test_view_permissions_allow_no_change(staff, account, number):
    client = staff("view_accountratelimit", "view_numberratelimit", "view_virtualnumber")

    client.post(reverse("admin:home_resume_account"), {"reason": "for the test"})
    act(client, "numberratelimit", "end_wait", number)
    act(client, "virtualnumber", "restore", number)
    client.post(page("virtualnumber", number.pk), {"rate": "5"})

    account.refresh_from_db()
    number.refresh_from_db()
    assert account.is_paused
    assert waits(number)
    assert (number.state, number.rate) == (NumberState.QUARANTINED, None)


# The pages ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["accountratelimit", "accountevent", "numberratelimit", "worker"])
def test_every_list_and_page_opens_and_nothing_can_be_edited(admin_client, account, number, model):
    worker = Worker.objects.create(name="host-a, process 1 (9f2e)", concurrency=20)
    rows = {
        "accountratelimit": account,
        "accountevent": account.events.get(),
        "numberratelimit": number,
        "worker": worker,
    }

    assert admin_client.get(page(model)).status_code == 200
    detail = admin_client.get(page(model, rows[model].pk))

    assert detail.status_code == 200
    assert b'name="_save"' not in detail.content


def test_the_account_page_shows_the_history_of_pauses(admin_client, account):
    AccountRateLimit.resume("the carrier answers again")
    AccountRateLimit.pause("the carrier is out of service", 1, code="503")

    html = admin_client.get(page("accountratelimit", account.pk)).content.decode()

    assert NO_CREDIT in html
    assert "the carrier answers again" in html
    assert "503" in html


# The rate of a number -------------------------------------------------------------------------------------------------


def test_staff_with_the_change_permission_can_set_the_rate_of_a_number(staff, number, settings):
    settings.NUMBER_SEGMENTS_PER_SECOND = {"*": 10.0, "GB": 7.5}
    client = staff("view_virtualnumber", "change_virtualnumber")
    assert (
        "Leave empty for 7.5, as NUMBER_SEGMENTS_PER_SECOND says for GB."
        in client.get(page("virtualnumber", number.pk)).content.decode()
    )

    client.post(page("virtualnumber", number.pk), {"rate": "2.5"})
    number.refresh_from_db()
    assert number.rate == 2.5

    client.post(page("virtualnumber", number.pk), {"rate": ""})
    number.refresh_from_db()
    assert number.rate is None


@pytest.mark.parametrize("rate", ["0", "-1", "nan", "inf", "x"])
def test_an_invalid_rate_is_rejected(admin_client, number, rate):
    answer = admin_client.post(page("virtualnumber", number.pk), {"rate": rate, **NO_EVENTS})

    assert answer.status_code == 200
    assert "rate" in answer.context["adminform"].form.errors


def test_a_new_rate_keeps_a_concurrent_change_of_state(admin_client, number, monkeypatch):
    def restore_concurrently(self, *args, **kwargs):
        VirtualNumber.objects.get(pk=self.pk).restore(reason="for the test")

    monkeypatch.setattr(VirtualNumber, "full_clean", restore_concurrently)
    admin_client.post(page("virtualnumber", number.pk), {"rate": "2.5", **NO_EVENTS})

    number.refresh_from_db()
    assert (number.state, number.rate) == (NumberState.ACTIVE, 2.5)


# The first page -------------------------------------------------------------------------------------------------------


def test_the_first_page_shows_no_warning_without_trouble(admin_client, db):
    html = admin_client.get(reverse("admin:index")).content.decode()

    assert "All is well" in html
    assert 'class="troubles"' not in html


def test_the_first_page_links_to_each_trouble(admin_client, account, number, bob):
    [message] = queue(bob, "Hello")
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")

    html = admin_client.get(reverse("admin:index")).content.decode()

    assert f"All sending is paused: {NO_CREDIT} (code 9)." in html
    for address in (page("accountratelimit"), f"{page('virtualnumber')}?state__exact=quarantined"):
        assert f'href="{address}"' in html
        assert admin_client.get(address).context["cl"].result_count == 1
    inbox = f"{reverse('admin:inbox')}?kind=unknown"
    assert f'href="{inbox}"' in html
    assert len(admin_client.get(inbox).context["cards"]) == 1


def test_the_first_page_shows_only_what_the_permissions_allow(staff, account, number):
    html = staff("view_virtualnumber").get(reverse("admin:index")).content.decode()

    assert "in quarantine" in html
    assert "paused" not in html


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_a_rate_can_be_set_in_the_browser(browse, number):
    with chromium() as browser:
        browse(browser, page("virtualnumber", number.pk))
        browser.find_element(By.NAME, "rate").send_keys("2.5")
        browser.find_element(By.NAME, "_save").click()
        [notice] = soon(browser, ".messagelist .success")
        assert "was changed successfully" in notice.text

    number.refresh_from_db()
    assert (number.state, number.rate) == (NumberState.QUARANTINED, 2.5)
