"""Staff block people and end blocks, and see and release conversations on hold."""

import pytest
from django.test import Client
from django.urls import reverse
from selenium.webdriver.common.by import By

from conversations.models import Block, Conversation, InboundMessage
from conversations.trust.blocks import block_person, block_prefix
from numbers.models import RealNumber
from smsproxy.staff.models import AuditEntry
from tests.support.browser import chromium, soon
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.staff_members import log_in

ADD = reverse("admin:conversations_block_add")
BLOCKS = reverse("admin:conversations_block_changelist")
CONVERSATIONS = reverse("admin:conversations_conversation_changelist")
TYPED = "+44 (7700) 900-001"
WHY = "threats, reported by the other person"

pytestmark = pytest.mark.django_db


@pytest.fixture
def staff():
    seen = ("view_block", "view_conversation", "reveal_realnumber")
    return log_in(Client(), *seen, "add_block", "change_block", "change_conversation")


@pytest.fixture
def conversation():
    add_numbers(3)
    return talk(ALICE, BOB)


def person(number):
    return RealNumber.objects.get_or_create_many([number])[number]


def submit(client, url=ADD, **fields):
    return client.post(url, {"reason": WHY, "until_0": "", "until_1": "", **fields})


def errors(answer):
    form = answer.context["adminform"].form
    return {name: list(texts) for name, texts in form.errors.items()}


def act(client, url, action, rows, **fields):
    answer = client.post(url, {"action": action, "_selected_action": [row.pk for row in rows], **fields}, follow=True)
    return answer.content.decode()


# New blocks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_known", [True, False])
def test_a_person_is_blocked_by_their_number_in_any_spelling(staff, is_known):
    if is_known:
        person(ALICE)

    answer = submit(staff, number=TYPED)

    assert answer.status_code == 302
    assert "7700" not in answer.url, "no number in a URL"
    block = Block.objects.get()
    assert block.person.number == ALICE
    assert (block.other, block.prefix, block.reason, block.created_by) == (None, "", WHY, "sam")
    entry = AuditEntry.objects.get()
    assert (entry.action, [each.person_id for each in entry.people.all()]) == ("added", [block.person_id])
    assert "7700" not in entry.object_name


@pytest.mark.parametrize("typed", ["07700 900001", "447700900001", "0044 7700 900001", "+44 (0)7700 900001"])
def test_a_number_is_typed_as_for_a_caller_and_told_masked(staff, typed):
    add_numbers(1)

    page = staff.post(ADD, {"reason": WHY, "number": typed}, follow=True).text

    assert Block.objects.get().person.number == ALICE
    assert "+44 ••• 01 is blocked." in page
    assert "7700" not in page


def test_a_number_that_may_be_of_several_countries_is_that_of_the_person_whom_we_know(staff):
    add_numbers(1)
    add_numbers(1, "DE", start="+4915123456")
    assert "with its country code" in str(errors(submit(staff, number="07700 900001"))["number"])

    person(ALICE)
    assert submit(staff, number="07700 900001").status_code == 302
    assert Block.objects.get().person.number == ALICE


def test_a_pair_is_blocked_by_two_numbers_until_a_time(staff):
    submit(staff, number=TYPED, other_number=BOB, until_0="2099-01-01", until_1="12:00:00")

    block = Block.objects.get()
    assert (block.person.number, block.other.number) == (ALICE, BOB)
    assert f"{block.until:%Y-%m-%d %H:%M}" == "2099-01-01 12:00"


def test_a_prefix_is_blocked_and_its_reach_is_shown(staff):
    person(ALICE)

    answer = staff.post(ADD, {"reason": WHY, "prefix": "+44 7700"}, follow=True)

    assert Block.objects.get().prefix == "+447700"
    assert "+447700 begins the numbers of 1 of the people that we know." in answer.content.decode()


def test_a_prefix_of_whole_countries_must_be_confirmed(staff):
    assert "GB, GG, IM, JE" in str(errors(submit(staff, prefix="+447"))["prefix"])
    assert not Block.objects.exists()

    submit(staff, prefix="+447", accept_wide="on")

    assert Block.objects.get().prefix == "+447"


def test_a_prefix_is_blocked_only_by_staff_who_may_see_numbers():
    support = log_in(Client(), "add_block", "view_block")

    assert 'name="prefix"' not in (page := support.get(ADD).text)
    assert "prefix" not in page.partition("<form")[2]
    refused = submit(support, prefix="+447", accept_wide="on")

    assert refused.status_code == 403
    assert "numbers.reveal_realnumber" in refused.text
    assert not Block.objects.exists()
    assert submit(support, number=ALICE).status_code == 302


@pytest.mark.parametrize(
    ("fields", "field", "expected"),
    [
        ({}, "__all__", "Expected a person or a prefix"),
        ({"number": ALICE, "prefix": "+88213"}, "__all__", "Expected a person or a prefix"),
        ({"number": "07700 900001"}, "number", "Expected a whole phone number"),  # We have no numbers of any country.
        ({"number": "call me"}, "number", "Expected a whole phone number"),
        ({"number": ALICE, "other_number": ALICE}, "other_number", "found one twice"),
        ({"number": "+5215512345678", "other_number": "+525512345678"}, "other_number", "found one twice"),
        ({"number": ALICE, "other_number": "x"}, "other_number", "Expected a whole phone number"),
        ({"prefix": "+88213", "other_number": BOB}, "other_number", "Expected no other person"),
        ({"prefix": "88213"}, "prefix", "2 to 11 digits"),
        ({"number": ALICE, "reason": ""}, "reason", "required"),
        ({"number": ALICE, "reason": f"it is {BOB}"}, "reason", "without a phone number"),
        ({"number": ALICE, "until_0": "2020-01-01", "until_1": "00:00"}, "until", "in the future"),
        ({"number": ALICE, "until_0": "tomorrow", "until_1": "00:00"}, "until", "valid date"),
        ({"person": "999999"}, "person", "not one of the available choices"),
        ({"person": "x"}, "person", "not one of the available choices"),
    ],
)
def test_an_impossible_block_is_refused_with_the_reason(staff, fields, field, expected):
    answer = submit(staff, **fields)

    assert answer.status_code == 200
    assert expected in str(errors(answer)[field])
    assert not Block.objects.exists()


@pytest.mark.parametrize("other", ["other", "other_number"])
def test_a_person_is_not_blocked_towards_themselves(staff, other):
    alice = person(ALICE)

    answer = submit(staff, person=alice.pk, **{other: alice.pk if other == "other" else ALICE})

    assert "found one twice" in answer.content.decode()
    assert not Block.objects.exists()


@pytest.mark.parametrize("link", ["x", "999999", "٣", "9" * 5000])
def test_a_link_that_leads_to_nobody_opens_the_form(staff, link):
    assert staff.get(ADD, {"person": link}).status_code == 200


@pytest.mark.parametrize("field", ["number", "other_number"])
def test_our_own_virtual_number_is_not_taken_for_a_person(staff, conversation, field):
    ours = conversation.participants.first().proxy_number.number

    answer = submit(staff, **{"number": CHARLIE, field: ours})

    assert "one of our virtual numbers" in str(errors(answer)[field])
    assert not RealNumber.objects.with_number(ours).exists()


def test_the_page_of_a_conversation_has_no_time_for_people_who_have_not_opted_out(admin_client, conversation):
    page = admin_client.get(reverse("admin:conversations_conversation_change", args=[conversation.pk])).content.decode()

    assert "opted" in page.lower()
    assert "None" not in page


def test_an_active_block_is_not_made_twice(staff):
    submit(staff, number=ALICE, other_number=BOB)

    answer = staff.post(ADD, {"reason": WHY, "number": BOB, "other_number": ALICE}, follow=True)

    assert "this block is active already" in answer.text
    Block.objects.get().end(reason="a mistake", actor="sam")
    assert submit(staff, number=BOB, other_number=ALICE).status_code == 302
    assert submit(staff, number=BOB).status_code == 302, "another block: of the person alone"


# From other pages -----------------------------------------------------------------------------------------------------


def link_on(client, row, words):
    page = client.get(reverse(f"admin:conversations_{row._meta.model_name}_change", args=[row.pk])).content.decode()
    [before, *_] = page.split(f'">{words}</a>')[:1]
    return before.rpartition('<a href="')[2].replace("&amp;", "&")


def test_a_participant_s_page_leads_to_the_block_of_the_person(admin_client, conversation):
    alice = members(conversation)[0]
    url = link_on(admin_client, alice, "Block this person")

    page = admin_client.get(url).content.decode()
    assert f"Block {alice.real_number} towards everybody" in page
    assert ALICE not in page
    assert 'name="number"' not in page
    submit(admin_client, url, person=alice.real_number_id)

    assert Block.objects.get().person == alice.real_number


def test_a_message_s_page_leads_to_the_block_of_its_sender(admin_client, conversation):
    alice = members(conversation)[0]
    message = InboundMessage.objects.create(
        carrier_message_id="in-1", outcome="relayed", sender=alice.real_number, text="Hello"
    )
    nobody = InboundMessage.objects.create(carrier_message_id="in-2", outcome="undecodable")

    assert link_on(admin_client, message, "Block its sender") == f"{ADD}?person={alice.real_number_id}"
    assert (
        "Block its sender"
        not in admin_client.get(reverse("admin:conversations_inboundmessage_change", args=[nobody.pk])).content.decode()
    )


def test_a_conversation_s_page_leads_to_the_block_of_each_pair(admin_client):
    add_numbers(3)
    conversation = talk(ALICE, BOB, CHARLIE)
    alice, _, charlie = members(conversation)
    url = reverse("admin:conversations_conversation_block", args=[conversation.pk, alice.position])

    assert url in admin_client.get(reverse("admin:conversations_conversation_change", args=[conversation.pk])).text
    answers = {"towards": charlie.position, "days": 7, "everywhere": 1, "reason": WHY}
    admin_client.post(url, answers)

    block = Block.objects.get()
    assert (block.person, block.other) == (alice.real_number, charlie.real_number)
    assert (block.service, block.created_by, block.until is None) == (None, "admin", False)


def test_staff_who_may_not_block_see_no_link(conversation):
    client = log_in(Client(), "view_participant", "view_conversation", "view_inboundmessage", "view_block")
    alice = members(conversation)[0]
    message = InboundMessage.objects.create(carrier_message_id="in-1", outcome="relayed", sender=alice.real_number)

    for row in (alice, conversation, message):
        page = client.get(reverse(f"admin:conversations_{row._meta.model_name}_change", args=[row.pk]))
        assert page.status_code == 200
        assert "block/add" not in page.content.decode()
        assert "/block/0/" not in page.content.decode()
    assert client.get(ADD).status_code == 403
    assert submit(client, number=ALICE).status_code == 403


# The list -------------------------------------------------------------------------------------------------------------


def test_the_list_and_the_page_show_masked_numbers(staff):
    block = block_person(person(ALICE), reason=WHY, actor="kim")

    for url in (BLOCKS, reverse("admin:conversations_block_change", args=[block.pk])):
        page = staff.get(url).content.decode()
        assert "+44 ••• 01" in page
        assert WHY in page
        assert ALICE not in page


@pytest.mark.parametrize(("active", "shown"), [("yes", "still rude"), ("no", "was rude")])
def test_the_list_is_filtered_by_whether_a_block_applies(staff, active, shown):
    block_person(person(ALICE), reason="still rude", actor="kim")
    block_prefix("+88213", reason="was rude", actor="kim").end(reason="a mistake", actor="kim")

    page = staff.get(f"{BLOCKS}?active={active}").content.decode()

    assert shown in page
    assert ({"still rude", "was rude"} - {shown}).pop() not in page


def test_ending_a_block_needs_a_reason_and_records_it(staff):
    block = block_person(person(ALICE), reason=WHY, actor="kim")

    for reason in ("", " ", f"ask {BOB}"):
        assert "Type a reason beside the action" in act(staff, BLOCKS, "end", [block], reason=reason)
    block.refresh_from_db()
    assert block.is_active
    assert "1 done." in act(staff, BLOCKS, "end", [block], reason="they have talked")

    block.refresh_from_db()
    assert (block.ended_by, block.ended_reason, block.is_active) == ("sam", "they have talked", False)
    assert "0 done, 1 refused" in act(staff, BLOCKS, "end", [block], reason="again")


def test_staff_without_the_permission_end_nothing():
    block = block_person(person(ALICE), reason=WHY, actor="kim")
    client = log_in(Client(), "view_block", "add_block")

    act(client, BLOCKS, "end", [block], reason="they have talked")

    block.refresh_from_db()
    assert block.is_active


# Conversations on hold ------------------------------------------------------------------------------------------------


def test_staff_find_conversations_on_hold_and_see_why_and_since_when(staff, conversation):
    other = talk(ALICE, CHARLIE)
    conversation.hold(reason="both sides repeat the same texts")

    page = staff.get(f"{CONVERSATIONS}?held_at__isempty=0").content.decode()

    assert str(conversation) in page
    assert str(other) not in page
    assert "both sides repeat the same texts" in page


def test_releasing_a_hold_needs_a_reason_and_records_it(staff, conversation):
    conversation.hold(reason="both sides repeat the same texts")

    assert "Type a reason" in act(staff, CONVERSATIONS, "release_hold", [conversation])
    assert "1 done." in act(staff, CONVERSATIONS, "release_hold", [conversation], reason="switched off")

    conversation.refresh_from_db()
    assert conversation.held_at is None
    event = conversation.events.first()
    assert (event.reason, event.actor) == ("released: switched off", "sam")
    assert "0 done, 1 refused" in act(staff, CONVERSATIONS, "release_hold", [conversation], reason="again")


def test_staff_put_a_conversation_on_hold(staff, conversation):
    assert "1 done." in act(staff, CONVERSATIONS, "hold", [conversation], reason="looks odd")

    conversation.refresh_from_db()
    assert (conversation.held_reason, conversation.held_at is not None) == ("looks odd", True)


def test_the_first_page_links_to_the_conversations_on_hold(staff, conversation):
    conversation.hold(reason="both sides repeat the same texts")

    page = staff.get(reverse("admin:index")).content.decode()

    assert f'href="{CONVERSATIONS}?state__exact=open&amp;held_at__isempty=0"' in page
    assert "Conversations on hold: 1." in page


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.django_db(transaction=True)
def test_staff_block_a_person_and_release_a_hold_in_a_browser(browse):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.hold(reason="both sides repeat the same texts, as auto-responders do")
    with chromium() as browser:
        browse(browser, ADD)
        browser.find_element(By.NAME, "prefix").send_keys("+447")
        browser.find_element(By.NAME, "reason").send_keys(WHY)
        browser.find_element(By.NAME, "_save").click()
        [error] = soon(browser, ".field-prefix .errorlist, .form-row.errors .errorlist")
        assert "GB, GG, IM, JE" in error.text
        browser.find_element(By.NAME, "prefix").clear()
        browser.find_element(By.NAME, "number").send_keys(TYPED)
        browser.find_element(By.NAME, "_save").click()
        [message] = soon(browser, ".messagelist .success")
        assert message.text == "+44 ••• 01 is blocked."
        assert "7700" not in browser.current_url
        assert "+44 ••• 01" in browser.find_element(By.ID, "result_list").text

        browser.get(browser.current_url.replace(BLOCKS, CONVERSATIONS) + "?held_at__isempty=0")
        [row] = soon(browser, "#result_list tbody tr")
        assert "as auto-responders do" in row.text
        row.find_element(By.NAME, "_selected_action").click()
        browser.find_element(By.CSS_SELECTOR, "[name=action] [value=release_hold]").click()
        browser.find_element(By.NAME, "reason").send_keys("they have switched it off")
        browser.find_element(By.CSS_SELECTOR, "[name=index]").click()
        [message] = soon(browser, ".messagelist .success")
        assert message.text == "1 done."

    assert Block.objects.get().person.number == ALICE
    assert Conversation.objects.get().held_at is None
