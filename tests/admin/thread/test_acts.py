"""What staff can do on the page of a conversation: each act asks why, is recorded, and is refused in words."""

from datetime import UTC, datetime, timedelta

import pytest
from django.urls import reverse

from conversations.admin.thread.page import ACTS
from conversations.delivery.relay import Relay
from conversations.models import Block, Conversation, ConversationNote, OutboundMessage
from conversations.trust.blocks import block_person
from smsproxy.database.clock import database_now
from smsproxy.staff.models import AuditEntry
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.message_api import write
from tests.support.staff_members import signed_in
from tests.support.thread_acts import BLOCK, CHANGE, SEE, WHY, do, page_of, told, url_of
from tests.support.threads import busy_thread

pytestmark = pytest.mark.django_db


def offered(client, conversation):
    return [act.name for act in client.get(page_of(conversation)).context["acts"]]


def last_entry():
    return AuditEntry.objects.filter(action="did").latest("pk")


def test_only_what_the_state_allows_is_offered(sam, ride):
    assert offered(sam, ride) == ["text", "extend", "hold", "close"]
    ride.hold(reason="they quarrel", actor="tina")
    assert offered(sam, ride) == ["extend", "release", "close"]
    ride.release_hold(reason="peace", actor="tina")
    ride.close_permanently()
    assert offered(sam, ride) == ["reopen"]
    ride.participants.update(released_at=database_now())
    assert offered(sam, ride) == []


def test_a_conversation_without_an_end_cannot_end_later(sam):
    add_numbers(2)

    assert "extend" not in offered(sam, talk(ALICE, BOB))


@pytest.mark.parametrize("name", [*(act.name for act in ACTS), "note"])
def test_an_act_without_its_right_is_refused(ride, name):
    client = signed_in(SEE)

    assert offered(client, ride) == []
    assert client.get(url_of(ride, name)).status_code == 403
    assert client.post(url_of(ride, name), {"reason": WHY, "text": "x", "seconds": 3600}).status_code == 403


def test_an_act_needs_the_right_to_see_conversations(ride):
    assert signed_in(CHANGE).post(url_of(ride, "close"), {"reason": WHY}).status_code == 403
    ride.refresh_from_db()
    assert ride.state == "open"


def test_an_act_asks_what_it_does_and_why(sam, ride):
    page = sam.get(url_of(ride, "close"))

    assert "Close this conversation for good?" in page.text
    assert "From now on no text is passed on." in page.text
    assert "Expected the reason" in sam.post(url_of(ride, "close"), {"reason": ""}).text
    for reason in (f"see {ALICE}", "call 07700 900001"):
        assert "without phone numbers" in sam.post(url_of(ride, "close"), {"reason": reason}).text
    ride.refresh_from_db()
    assert ride.state == "open"


def test_closing_for_good_tells_who_and_why_in_the_thread_and_the_audit(sam, ride):
    assert do(sam, ride, "close") == [("success", "The conversation is closed for good. Its numbers cool down.")]

    ride.refresh_from_db()
    assert (ride.state, ride.closed_reason) == ("closed", "closed")
    assert f"Closed: {WHY} · by sam" in " ".join(sam.get(page_of(ride)).text.split())
    entry = last_entry()
    assert (entry.actor, entry.detail, entry.reason, entry.object_name) == ("sam", "close", WHY, "order-17")
    assert entry.people.count() == 2


def test_a_race_shows_a_red_message(sam, ride):
    ride.close_permanently()

    [(level, text)] = do(sam, ride, "close")
    assert (level, text.startswith("Nothing was done")) == ("error", True)


def test_reopening_tells_who_and_why(sam, ride):
    ride.close_permanently()

    assert do(sam, ride, "reopen")[0][0] == "success"
    ride.refresh_from_db()
    assert ride.state == "open"
    assert ride.events.first().reason == f"reopened: {WHY}"


def test_a_reopening_says_that_the_conversation_stays_on_hold(sam, ride):
    ride.hold(reason="two machines", actor="")
    ride.close_permanently()

    page = sam.get(url_of(ride, "reopen")).text
    assert "It stays on hold" in page
    assert "can text each other again" not in page
    [(level, text)] = do(sam, ride, "reopen")

    assert (level, "still on hold" in text) == ("success", True)
    ride.refresh_from_db()
    assert (ride.state, ride.held_reason) == ("open", "two machines")
    assert offered(sam, ride) == ["extend", "release", "close"]


def test_a_reopening_that_is_not_possible_says_what_to_do(sam, ride):
    ride.close_permanently()
    block = block_person(members(ride)[1].real_number, reason="threats", actor="tina")
    [(level, text)] = do(sam, ride, "reopen")
    assert (level, "End that first" in text, "Bob" in text) == ("error", True, True)

    block.end(reason="a mistake", actor="tina")
    ride.participants.update(released_at=database_now())
    [(level, text)] = do(sam, ride, "reopen")
    assert (level, "create a new conversation" in text) == ("error", True)


def test_no_entry_says_that_a_refused_reopening_was_done(sam, ride):
    ride.close_permanently()
    block_person(members(ride)[1].real_number, reason="threats", actor="tina")
    many = {"action": "reopen", "_selected_action": [ride.pk], "reason": WHY}

    do(sam, ride, "reopen")
    told(sam, reverse("admin:conversations_conversation_changelist"), many)

    details = AuditEntry.objects.filter(action="did").order_by("pk").values_list("detail", flat=True)
    assert list(details) == ["reopen, begun", "reopen, which was refused"] * 2


@pytest.mark.parametrize("may_see", [True, False])
def test_what_prevents_a_reopening_is_said_before_the_button(ride, may_see):
    client = signed_in(SEE, CHANGE, *(["numbers.view_realnumber"] if may_see else []))
    ride.close_permanently()
    bob = members(ride)[1].real_number
    block = block_person(bob, reason="threats", actor="tina")
    person = reverse("admin:numbers_realnumber_change", args=[bob.pk])

    page = client.get(url_of(ride, "reopen")).text

    assert "It cannot be reopened now: Bob is blocked. End that first." in page
    assert "can text each other again" not in page
    assert (f'href="{person}"' in page) == may_see
    block.end(reason="a mistake", actor="tina")
    assert "can text each other again" in client.get(url_of(ride, "reopen")).text
    bob.opt_out(reason="STOP")
    assert "Bob has opted out" in client.get(url_of(ride, "reopen")).text


def test_the_end_moves_by_the_chosen_time(sam, ride):
    end = ride.expires_at

    assert do(sam, ride, "extend", seconds=86_400)[0][0] == "success"
    ride.refresh_from_db()
    assert ride.expires_at == end + timedelta(days=1)
    assert f"End moved: {WHY} · by sam" in " ".join(sam.get(page_of(ride)).text.split())


def test_the_present_end_and_the_end_of_each_choice_are_shown(sam, ride):
    Conversation.objects.update(expires_at=datetime(2099, 11, 30, 13, 3, tzinfo=UTC))

    page = sam.get(url_of(ride, "extend"))

    assert "It ends 2099-11-30 13:03 UTC." in page.text
    choices = [str(words) for _, words in page.context["form"].fields["seconds"].choices]
    assert choices[0] == "1 hour (to 2099-11-30 14:03)"
    assert choices[2] == "1 day (to 2099-12-01 13:03)"
    assert "How much later" in page.text

    Conversation.objects.update(expires_at=datetime.max.replace(tzinfo=UTC))
    assert "It ends 9999-12-31" in sam.get(url_of(ride, "extend")).text


def test_a_hold_and_its_release_tell_why(sam, ride):
    do(sam, ride, "hold")
    ride.refresh_from_db()
    assert ride.held_reason == WHY
    assert "On hold" in sam.get(page_of(ride)).text

    do(sam, ride, "release")
    ride.refresh_from_db()
    assert ride.held_at is None


def test_a_text_of_an_unknown_outcome_is_sent_again_for_a_reason(carrier, sam):
    conversation = busy_thread(carrier)
    lost = OutboundMessage.objects.get(state="unknown")
    url = reverse("admin:conversations_conversation_message_act", args=[conversation.pk, lost.pk, "resend"])

    assert url in sam.get(page_of(conversation)).text
    assert "it arrives twice" in sam.get(url).text
    assert told(sam, url, {"reason": WHY}) == [("success", "The text is sent again. It may arrive twice.")]
    lost.refresh_from_db()
    assert (lost.state, lost.events.first().reason) == ("queued", f"staff: {WHY}")
    assert last_entry().detail == "resend"

    Relay().send_due()
    [(level, _)] = told(sam, url, {"reason": WHY})
    assert level == "error"


def test_a_waiting_text_is_dropped_for_a_reason(carrier, sam):
    conversation = busy_thread(carrier)
    waits = OutboundMessage.objects.get(state="queued", kind="notice")
    url = reverse("admin:conversations_conversation_message_act", args=[conversation.pk, waits.pk, "drop"])

    assert told(sam, url, {"reason": WHY}) == [("success", "The text is not sent.")]
    assert f": by sam: {WHY}" in sam.get(page_of(conversation)).text


def test_a_message_of_another_conversation_is_not_found(carrier, sam, ride):
    lost = OutboundMessage.objects.get(pk=write_unknown(carrier))
    url = reverse("admin:conversations_conversation_message_act", args=[ride.pk, lost.pk, "resend"])

    assert sam.post(url, {"reason": WHY}).status_code == 404


def write_unknown(carrier):
    other = talk(ALICE, CHARLIE)
    write(ALICE, proxies(other)[0])
    return OutboundMessage.objects.latest("pk").pk


def test_a_person_is_blocked_towards_everybody_or_one_other(sam, ride):
    url = reverse("admin:conversations_conversation_block", args=[ride.pk, 1])
    data = {"towards": -1, "days": 7, "everywhere": 0, "reason": WHY}

    assert told(sam, url, data) == [("success", "Bob is blocked.")]
    block = Block.objects.get()
    assert (block.person, block.other, block.service, block.created_by) == (
        members(ride)[1].real_number,
        None,
        ride.service,
        "sam",
    )
    assert block.until is not None
    assert "⊘ blocked until" in " ".join(sam.get(page_of(ride)).text.split())
    assert told(sam, url, data) == [("error", "Nothing was done: this block is active already.")]

    assert told(sam, url, data | {"towards": 0, "days": 0})[0][1] == "Bob and Alice are blocked towards each other."
    assert Block.objects.first().other == members(ride)[0].real_number


def test_a_blocked_person_shows_the_block_and_can_be_unblocked_in_the_thread(ride):
    block = block_person(members(ride)[1].real_number, reason="threats", actor="tina")
    shown = reverse("admin:conversations_block_change", args=[block.pk])
    end = reverse("admin:conversations_block_end", args=[block.pk]) + f"?conversation={ride.pk}"
    block_again = reverse("admin:conversations_conversation_block", args=[ride.pk, 1])
    support = signed_in(SEE, BLOCK, name="sue").get(page_of(ride)).text
    trust = signed_in(SEE, BLOCK, "conversations.view_block", "conversations.change_block", name="tom")

    page = trust.get(page_of(ride)).text
    assert [each in page for each in (shown, "threats", end, block_again)] == [True, True, True, False]
    assert [each in support for each in (shown, "threats", end, block_again)] == [False] * 4

    answer = trust.post(end, {"reason": WHY}, follow=True)
    assert answer.redirect_chain[-1][0] == page_of(ride)
    assert [each in answer.text for each in (shown, end, block_again)] == [False, False, True]


def test_an_internal_note_is_kept_encrypted_without_phone_numbers(sam, ride):
    assert told(sam, url_of(ride, "note"), {"text": "She called twice."}) == [("success", "The note is added.")]

    note = ConversationNote.objects.get()
    assert (note.text, note.author) == ("She called twice.", "sam")
    assert "She called twice." in sam.get(page_of(ride)).text
    for text in (f"Call {BOB}", "Call 07700 900002"):
        assert "without phone numbers" in sam.post(url_of(ride, "note"), {"text": text}).text
    assert "She called" not in str(list(AuditEntry.objects.values()))


def test_a_note_that_is_submitted_twice_is_added_once(sam, ride):
    url = url_of(ride, "note")
    answers = [told(sam, url, {"text": "She called twice."})[0] for _ in range(2)]

    assert [level for level, _ in answers] == ["success", "error"]
    assert ConversationNote.objects.count() == 1
    assert told(sam, url, {"text": "She called again."})[0][0] == "success"
    ConversationNote.objects.update(created_at=database_now() - timedelta(minutes=2))
    assert told(sam, url, {"text": "She called again."})[0][0] == "success"


def test_the_filters_of_the_list_are_kept_through_an_act(sam, ride):
    query = "?_changelist_filters=state__exact%3Dopen"
    page = sam.get(page_of(ride) + query)
    assert f"{url_of(ride, 'hold')}{query}" in page.text

    answer = sam.post(url_of(ride, "hold") + query, {"reason": WHY})
    assert answer["Location"] == f"{page_of(ride)}{query}#latest"


def test_an_act_on_nothing_is_not_found(sam, ride):
    Conversation.objects.filter(pk=ride.pk)

    assert sam.get(reverse("admin:conversations_conversation_act", args=[ride.pk + 9, "close"])).status_code == 404
    assert sam.get(url_of(ride, "explode")).status_code == 404
    assert sam.get(reverse("admin:conversations_conversation_block", args=[ride.pk, 9])).status_code == 404
