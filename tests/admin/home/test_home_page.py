"""The first page shows the state in one line, what waits behind each door, and figures with the list behind each."""

import re
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conversations.models import AccountRateLimit, Conversation, HourlySample, OutboundMessage
from numbers.models import NumberState, VirtualNumber
from smsproxy.cockpit.doors import DOORS
from smsproxy.cockpit.home.door_cards import CARDS
from tests.support import dashboard
from tests.support.builders import ALICE, BOB, add_numbers, members, talk
from tests.support.outbox import queue

HOME = reverse("admin:index")
FIGURES = reverse("admin:home_figures")


def page(model):
    return reverse(f"admin:{model}_changelist")


def html_of(client, address=HOME):
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def state_of(client):
    state = client.get(HOME).context["state"]
    return state.level, state.sentence, state.hidden


# The state in one line ------------------------------------------------------------------------------------------------


def test_without_a_trouble_all_is_well(admin_client):
    dashboard.add_worker()

    assert state_of(admin_client) == ("good", "All is well", 0)
    assert "state good" in html_of(admin_client)


def test_a_warning_is_amber_and_says_what_to_do(admin_client):
    dashboard.add_worker()
    add_numbers(1)[0].quarantine(reason="for the test")

    assert state_of(admin_client) == ("warn", "1 thing needs a person today", 0)
    assert "Read the reason in the admin. Restore the numbers" in html_of(admin_client)


def test_a_critical_trouble_is_red(admin_client):
    dashboard.add_worker()
    add_numbers(1)[0].quarantine(reason="for the test")
    AccountRateLimit.pause("no credit", 60)

    assert state_of(admin_client) == ("bad", "1 thing is wrong now, 1 thing needs a person today", 0)


def test_the_state_is_not_green_for_staff_who_may_not_see_what_is_wrong(staff):
    dashboard.add_worker()
    AccountRateLimit.pause("no credit", 60)
    client = staff("view_virtualnumber")

    assert state_of(client) == ("bad", "1 thing is wrong now", 1)
    assert "no credit" not in html_of(client)
    assert "other staff have the right to see to it" in html_of(client)


@pytest.mark.parametrize(
    ("rights", "leads_to"),
    [
        (["view_outboundmessage", "view_inboxitem"], "/admin/inbox/?kind=unknown"),
        (["view_outboundmessage"], "/admin/conversations/outboundmessage/?state__exact=unknown"),
    ],
)
def test_a_trouble_leads_to_the_page_on_which_this_member_of_staff_handles_it(staff, rights, leads_to):
    add_numbers(2)
    [message] = queue(members(talk(ALICE, BOB))[1], "hello")
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")

    [trouble] = [each for each in staff(*rights).get(HOME).context["state"].troubles if each.active.kind == "undecided"]

    assert trouble.url == leads_to


# The doors ------------------------------------------------------------------------------------------------------------


def test_every_door_has_a_card():
    assert [door.name for door in DOORS] == list(CARDS)


def test_a_door_shows_what_waits_behind_it(admin_client):
    add_numbers(3)[2].quarantine(reason="for the test")
    conversation = talk(ALICE, BOB)
    [message] = queue(members(conversation)[1], "hello")
    OutboundMessage.objects.filter(pk=message.pk).update(state="unknown")
    Conversation.objects.get().hold(reason="for the test")

    page = admin_client.get(HOME)

    waiting = [text for door in page.context["door_cards"] for text in door.waiting]
    assert waiting == ["1 on hold", "2 wait for a decision", "1 number in quarantine"]
    # The card and the frame count the same: the unknown outcome and the conversation on hold.
    assert [str(door["count"]) for door in page.context["doors"] if door["count"]] == ["2"]


def test_staff_see_only_the_doors_that_they_may_open(staff):
    client = staff("view_conversation")

    assert [str(door.label) for door in client.get(HOME).context["door_cards"]] == ["Conversations"]


# The figures ----------------------------------------------------------------------------------------------------------


def test_each_figure_links_to_the_list_behind_it(admin_client):
    dashboard.add_all()

    html = html_of(admin_client)

    for model in (
        *("conversations_inboundmessage", "conversations_outboundmessage", "conversations_accountratelimit"),
        *("conversations_worker", "conversations_dailyspend", "conversations_webhookwatch"),
    ):
        assert f'href="{page(model)}"' in html, model
    assert f'href="{page("conversations_outboundmessage")}?state__exact=queued"' in html
    assert f'href="{page("numbers_virtualnumber")}?pool__isnull=True"' in html


def test_every_link_of_the_page_opens(admin_client):
    dashboard.add_all()

    html = html_of(admin_client)
    main = html[html.index('id="content-main"') :]
    for address in set(re.findall(r'href="(/admin/[^"#]*)"', main)):
        assert admin_client.get(address.replace("&amp;", "&")).status_code == 200, address


@pytest.mark.parametrize(
    ("permission", "shown"),
    [
        ("view_outboundmessage", {"home-texts", "home-rate", "home-to_carrier", "home-to_phone", "home-queue"}),
        ("view_accountratelimit", {"home-pauses", "home-spend"}),
        ("view_numberratelimit", {"home-pauses"}),
        ("view_virtualnumber", {"home-pools", "home-spend"}),
        ("view_webhookwatch", {"home-webhooks"}),
        ("view_conversation", set()),
    ],
)
def test_a_figure_is_shown_to_staff_who_may_see_the_list_behind_it(staff, permission, shown):
    dashboard.add_all()

    html = html_of(staff(permission))

    assert set(re.findall(r'<h2 id="(home-[\w]+)"', html)) - {"home-doors", "home-state"} == shown


def test_staff_with_the_numbers_alone_see_the_rent_and_not_the_spend(staff):
    dashboard.add_all()

    spend = staff("view_virtualnumber").get(HOME).context["spend"]

    assert (spend.rent.euros, spend.texts, spend.total, spend.today) == (Decimal(24), None, None, None)


def test_the_page_shows_no_real_number_and_no_text(admin_client):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    queue(members(conversation)[1], "meet me at the lighthouse")

    html = html_of(admin_client)

    assert ALICE[1:] not in html
    assert BOB[1:] not in html
    assert "lighthouse" not in html


def test_the_figures_are_those_of_the_last_day(admin_client):
    dashboard.add_samples(gap=())
    last_day = HourlySample.objects.order_by("-hour")[:24]

    traffic = admin_client.get(HOME).context["traffic"]

    assert traffic.received == sum(sample.figures["received"] for sample in last_day)
    delivered, failed = (sum(sample.figures[name] for sample in last_day) for name in ("delivered", "failed"))
    assert traffic.rate == f"{int(1000 * delivered / (delivered + failed)) / 10:.1f} %"
    assert [label for label, _ in traffic.latencies[0].quantiles] == ["p50", "p95"]
    assert all(text.startswith("about ") for _, text in traffic.latencies[0].quantiles)


def test_hours_in_which_no_worker_ran_are_shown_as_not_counted(admin_client):
    dashboard.add_samples()

    html = html_of(admin_client)

    assert html.count("not counted: no worker ran") == len(dashboard.GAP)
    assert "Hatched: not counted" in html


def test_before_the_first_sample_the_page_says_when_there_will_be_figures(admin_client):
    assert "No figures yet. A worker takes the first ones a minute after it starts." in html_of(admin_client)


def test_the_parts_of_a_pool_are_all_its_numbers(admin_client, settings):
    settings.NUMBER_CAP = 10
    dashboard.add_pools()

    common, berlin = admin_client.get(HOME).context["pools"].bars

    for bar in (common, berlin):
        assert sum(part.count for part in bar.parts) == bar.numbers
        assert bar.parts[-1].x + bar.parts[-1].width == pytest.approx(bar.width, abs=1)
    counts = {part.kind: part.count for part in common.parts}
    full = VirtualNumber.objects.filter(pool=None, state=NumberState.ACTIVE, live_pair_count=10).count()
    assert counts == {"free": 12 - full, "full": full, "failing": 1, "rest": 1}
    assert (berlin.is_low, berlin.left) == (True, ["GB 0"])


def test_no_more_pairs_cool_down_than_there_are(admin_client):
    dashboard.add_samples(1)
    add_numbers(2)
    VirtualNumber.objects.update(live_pair_count=1)

    [bar] = admin_client.get(HOME).context["pools"].bars

    assert (bar.live, bar.cooling) == (2, 2)


def test_a_number_that_the_carrier_refuses_is_failing(admin_client):
    numbers = add_numbers(3)
    dashboard.pause_number(numbers[0])

    [bar] = admin_client.get(HOME).context["pools"].bars

    assert [(part.kind, part.count) for part in bar.parts if part.count] == [("free", 2), ("failing", 1)]


def test_the_charts_are_valid_and_have_a_title_and_a_description(admin_client):
    dashboard.add_all()

    charts = re.findall(r'<svg class="chart.*?</svg>', html_of(admin_client), re.DOTALL)

    assert len(charts) == 5
    for chart in charts:
        root = ElementTree.fromstring(chart)
        named = [root.find(f".//*[@id='{each}']") for each in root.get("aria-labelledby").split()]
        assert all(each is not None and each.text for each in named)
        assert root.get("role") == "img"


def test_the_page_has_no_inline_style_or_script(admin_client):
    dashboard.add_all()

    html = html_of(admin_client)
    main = html[html.index('id="content-main"') :]

    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", main)


def test_the_page_takes_the_same_queries_for_any_traffic(admin_client):
    dashboard.add_all()
    for number in VirtualNumber.objects.all()[:8]:
        dashboard.pause_number(number)
    html_of(admin_client)  # The troubles have begun.

    with CaptureQueriesContext(connection) as few:
        html_of(admin_client)
    numbers = add_numbers(30, start="+4477009020")
    for number in numbers:
        dashboard.pause_number(number)
    for person in range(5):
        conversation = talk(ALICE, f"+44770090012{person}")
        queue(members(conversation)[1], "hello")
    html_of(admin_client)
    with CaptureQueriesContext(connection) as many:
        html_of(admin_client)

    # One for each trouble that goes on: it is confirmed.
    assert len(many) <= len(few) + 3
    assert len(many) < 55
    tables = ("conversations_outboundmessage", "conversations_inboundmessage", "conversations_messageevent")
    unbounded = [
        each["sql"]
        for each in many
        if any(f'FROM "{table}"' in each["sql"] for table in tables) and "LIMIT" not in each["sql"]
    ]
    assert unbounded == []


def test_the_figures_that_are_fetched_again_are_those_of_the_page(admin_client):
    dashboard.add_all()

    fetched = html_of(admin_client, FIGURES)

    assert "<html" not in fetched
    assert 'id="home-texts"' in fetched
    assert 'id="home-state"' in fetched


def test_the_figures_need_a_sign_in(client, db):
    assert client.get(FIGURES).status_code == 302


def test_fetching_the_figures_leaves_the_messages_to_the_page(admin_client):
    AccountRateLimit.pause("no credit", 60)
    admin_client.post(reverse("admin:home_resume_account"), {"reason": "ticket 1"})

    html_of(admin_client, FIGURES)

    assert "Sending goes on." in html_of(admin_client)


def test_staff_without_any_right_learn_that_no_figure_is_theirs(staff):
    html = html_of(staff())

    assert "No figures: none of your rights opens a list behind one." in html
    assert reverse("admin:technical") in html
