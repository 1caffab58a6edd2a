"""Acts on items of the inbox: each asks the reason, is recorded, and refuses in words that say what to do."""

from datetime import timedelta

import pytest
from django.urls import reverse

from conversations.delivery.outbox import queue_notice
from conversations.models import Block, InboundMessage, InboxItem, OutboundMessage
from numbers.models import RealNumber
from smsproxy.database.clock import database_now
from smsproxy.staff.models import AuditEntry
from tests.admin.inbox.conftest import SUPPORT
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, members, proxies, talk
from tests.support.inbox import WHY, lost_text, perhaps_sent, relays_of

INBOX = "/admin/inbox/"


def address(kind, row, name, last=None):
    return reverse("admin:inbox_act", args=[kind, row.pk, name]) + (f"?last={last}" if last else "")


def act(client, kind, row, name, last=None, **data):
    return client.post(address(kind, row, name, last), {**WHY, **data}, follow=True)


def take(client, kind, row, **data):
    return client.post(reverse("admin:inbox_take", args=[kind, row.pk]), data, follow=True)


@pytest.fixture
def text(conversation, number):
    return lost_text(ALICE, number)


@pytest.fixture
def strange(conversation, number):
    return lost_text(STRANGER, number)


@pytest.fixture
def unknown(conversation):
    return perhaps_sent(conversation)


def the_entry():
    return AuditEntry.objects.filter(action="did").latest("pk")


def test_the_likely_conversation_is_chosen_and_the_text_is_passed_on_for_a_reason(client, support, text, conversation):
    page = client.get(address("text", text, "attach"))
    assert "only open conversation" in page.text
    assert "checked" in page.text

    told = act(client, "text", text, "attach", conversation=conversation.pk)

    assert "Passed on in order-17: 1." in told.text
    assert relays_of(text) == ["Bob: The parcel is at gate 7"]
    entry = the_entry()
    assert (entry.actor, entry.detail, entry.reason, entry.object_name) == ("sam", "attach", "ticket 4711", str(text))
    assert [each.person_id for each in entry.people.all()] == [text.sender_id]


def test_another_conversation_is_never_offered_in_place_of_the_likely_one_that_has_ended(client, support, conversation):
    ended = talk(ALICE, CHARLIE, reference="ride-A")
    number = proxies(ended)[0]
    ended.close()
    ended.participants.update(released_at=database_now())
    text = lost_text(ALICE, number, "The door code is 4711")

    [card] = client.get(INBOX).context["cards"]
    page = client.get(address("text", text, "attach"))

    assert (card.likely.conversation, card.likely.is_open) == (ended, False)
    attach = card.buttons[0]
    assert (attach.label, attach.is_primary) == ("Pass on", False)
    assert "order-17" in page.text
    assert "checked" not in page.text
    act(client, "text", text, "attach")
    assert relays_of(text) == []
    assert "Passed on in order-17: 1." in act(client, "text", text, "attach", conversation=conversation.pk).text


def test_a_reason_is_needed(client, support, text, conversation):
    client.post(address("text", text, "attach"), {"conversation": conversation.pk})

    assert relays_of(text) == []


def test_two_clicks_pass_it_on_once(client, support, text, conversation):
    act(client, "text", text, "attach", conversation=conversation.pk)
    told = act(client, "text", text, "attach", conversation=conversation.pk)

    assert "it no longer waits" in told.text
    assert len(relays_of(text)) == 1


def test_a_conversation_of_other_people_cannot_be_chosen(client, support, strange, text, conversation):
    assert "can no longer be done" in act(client, "text", strange, "attach", conversation=conversation.pk).text
    assert relays_of(strange) == []


def test_only_the_texts_that_were_seen_are_passed_on(client, support, text, number, conversation):
    unseen = lost_text(ALICE, number)

    act(client, "text", text, "attach", last=text.pk, conversation=conversation.pk)

    assert (len(relays_of(text)), relays_of(unseen)) == (1, [])


def test_texts_that_were_never_shown_go_on_waiting(client, support, number, conversation):
    texts = [lost_text(ALICE, number, f"Text {place}") for place in range(24)]
    page = client.get(reverse("admin:inbox_text", args=[texts[0].pk]))
    dismiss = next(each.url for each in page.context["card"].buttons if each.label == "Dismiss")

    assert len(page.context["lines"]) == 20
    assert "More wait" in page.text
    assert "The others go on waiting." in client.get(dismiss).text
    client.post(dismiss, WHY)

    waiting = InboundMessage.objects.filter(settled_at=None, outcome="no_route").order_by("pk")
    assert list(waiting) == texts[20:]
    assert "4 texts from" in client.get(INBOX).text


def test_an_answer_is_shown_with_its_price_before_it_is_sent(client, support, strange):
    OutboundMessage.objects.all().delete()
    words = {"text": "Please call us. " * 12}

    shown = act(client, "text", strange, "answer", **words)

    assert "It takes 2 SMS, about EUR 0.14 together." in shown.text
    assert not OutboundMessage.objects.exists()
    previewed = shown.context["form"].data["previewed"]
    assert "Your answer is queued." in act(client, "text", strange, "answer", previewed=previewed, **words).text
    assert OutboundMessage.objects.get().recipient == strange.sender
    assert AuditEntry.objects.filter(detail="answer").count() == 1


def test_another_text_than_that_of_the_preview_is_shown_again(client, support, strange):
    OutboundMessage.objects.all().delete()
    shown = act(client, "text", strange, "answer", text="Please call us.")
    previewed = shown.context["form"].data["previewed"]

    act(client, "text", strange, "answer", text="Please call us!", previewed=previewed)

    assert not OutboundMessage.objects.exists()


def test_nobody_answers_a_person_who_has_opted_out(client, support, strange):
    strange.sender.opt_out(reason="STOP")

    assert reverse("admin:inbox_act", args=["text", strange.pk, "answer"]) not in client.get(INBOX).text
    assert "can no longer be done" in act(client, "text", strange, "answer", text="hello").text


def test_a_dismissed_text_leaves_the_inbox_with_nothing_sent(client, support, strange):
    sent = OutboundMessage.objects.count()

    assert "Dismissed." in act(client, "text", strange, "dismiss").text
    assert "Nothing waits for you." in client.get(INBOX).text
    assert OutboundMessage.objects.count() == sent


def test_the_sender_is_blocked_for_the_reason(client, support, strange):
    act(client, "text", strange, "block")

    block = Block.objects.get()
    assert (block.person, block.reason, block.created_by) == (strange.sender, "ticket 4711", "sam")
    assert "Nothing waits for you." in client.get(INBOX).text


def test_a_message_that_was_perhaps_sent_is_sent_again(client, support, unknown):
    assert "If it was, it arrives twice" in client.get(address("unknown", unknown, "resend")).text

    act(client, "unknown", unknown, "resend")

    unknown.refresh_from_db()
    assert unknown.state == "queued"
    assert (unknown.events.latest("pk").actor, unknown.events.latest("pk").reason) == ("sam", "staff: ticket 4711")


def test_a_message_that_was_perhaps_sent_is_dropped(client, support, unknown):
    act(client, "unknown", unknown, "drop")

    unknown.refresh_from_db()
    assert (unknown.state, InboxItem.objects.get().outcome) == ("cancelled", "dropped")


def test_what_cannot_be_sent_again_says_what_to_do(client, support, unknown):
    RealNumber.objects.with_number(BOB).get().opt_out(reason="STOP")
    OutboundMessage.objects.filter(pk=unknown.pk).update(state="unknown")
    assert "Choose “Do not send”" in act(client, "unknown", unknown, "resend").text

    OutboundMessage.objects.filter(pk=unknown.pk).update(created_at=database_now() - timedelta(days=9))
    assert "older than MESSAGE_MAX_AGE_SECONDS" in act(client, "unknown", unknown, "resend").text


def test_a_hold_is_released(client, support, conversation):
    conversation.hold(reason="two machines", actor="")

    assert "The hold is released." in act(client, "hold", conversation, "release").text
    conversation.refresh_from_db()
    assert conversation.held_at is None
    assert the_entry().people.count() == 2


def test_staff_take_an_item_and_give_it_back(client, support, text):
    assert "It is yours now." in (page := take(client, "text", text).text)
    assert "Yours" in page
    assert "Give back" in page

    assert "Others may take it now." in take(client, "text", text, give_back="1").text
    assert InboxItem.objects.holder(text, text.received_at) == ""
    assert list(AuditEntry.objects.filter(action="did").values_list("detail", flat=True)) == ["give back", "take"]


def test_what_somebody_has_taken_others_take_over_for_a_reason_before_they_act(client, sign_in, text):
    sign_in("kim")
    take(client, "text", text)
    sign_in("sam")
    assert "Taken by kim" in client.get(INBOX).text
    assert "another member of staff has taken it" in take(client, "text", text).text
    assert "kim has taken it. Take it over first." in act(client, "text", text, "dismiss").text

    assert "Take over from kim" in (page := client.get(address("text", text, "take-over"))).text
    assert page.context["form"]["holder"].value() == "kim"
    assert "It is yours now." in act(client, "text", text, "take-over", holder="kim").text
    assert "Dismissed." in act(client, "text", text, "dismiss").text


def test_an_item_is_taken_only_from_who_had_it_when_the_page_was_shown(client, sign_in, text):
    InboxItem.objects.take(text, since=text.received_at, actor="kim")
    sign_in("sam")
    seen = client.get(address("text", text, "take-over")).context["form"]["holder"].value()
    InboxItem.objects.take_over(text, holder="kim", actor="tina")

    assert "somebody changed it in the meantime" in act(client, "text", text, "take-over", holder=seen).text
    assert InboxItem.objects.get().taken_by == "tina"


def from_the_thread(client, row, name):
    if isinstance(row, OutboundMessage):
        url = reverse("admin:conversations_conversation_message_act", args=[row.conversation_id, row.pk, name])
    else:
        url = reverse("admin:conversations_conversation_act", args=[row.pk, name])
    return client.post(url, WHY, follow=True)


def from_the_list(client, row, name):
    model = row._meta.model_name
    action = "release_hold" if name == "release" else name
    data = {"action": action, "_selected_action": [row.pk], **WHY}
    return client.post(reverse(f"admin:conversations_{model}_changelist"), data, follow=True)


@pytest.mark.parametrize("door", [from_the_thread, from_the_list])
@pytest.mark.parametrize(("name", "outcome"), [("resend", "resent"), ("drop", "dropped"), ("release", "released")])
def test_what_somebody_has_taken_only_they_settle_through_any_door(
    client, sign_in, conversation, unknown, door, name, outcome
):
    rights = [*SUPPORT, "view_outboundmessage"]
    kind, row = ("hold", conversation) if name == "release" else ("unknown", unknown)
    if name == "release":
        conversation.hold(reason="two machines", actor="")
    sign_in("kim", *rights)
    take(client, kind, row)

    sign_in("sam", *rights)
    refused = door(client, row, name)

    assert "kim has taken it" in refused.text
    assert InboxItem.objects.get().done_at is None
    assert name == "release" or OutboundMessage.objects.get(pk=unknown.pk).state == "unknown"

    sign_in("kim", *rights)
    door(client, row, name)

    item = InboxItem.objects.get()
    assert (item.done_by, item.outcome, item.done_at is not None) == ("kim", outcome, True)
    assert "Nothing waits with these filters." in client.get(INBOX, {"kind": kind}).text


def test_a_text_that_only_waits_in_the_queue_is_dropped_without_an_item_of_the_inbox(client, support, conversation):
    waits = queue_notice(members(conversation)[1], "It waits")

    from_the_thread(client, waits, "drop")

    waits.refresh_from_db()
    assert (waits.state, InboxItem.objects.exists()) == ("cancelled", False)


@pytest.mark.parametrize(
    ("name", "permission"),
    [
        ("attach", "change_inboxitem"),
        ("answer", "change_inboxitem"),
        ("dismiss", "change_inboxitem"),
        ("block", "add_block"),
    ],
)
def test_an_act_without_its_right_is_refused(client, sign_in, text, name, permission, conversation):
    sign_in("ada", "view_inboxitem", "view_conversation")

    assert act(client, "text", text, name, conversation=conversation.pk).status_code == 403
    assert InboundMessage.objects.get(pk=text.pk).settled_at is None


@pytest.mark.parametrize("name", ["resend", "drop"])
def test_an_act_needs_the_right_to_see_the_inbox_too(client, sign_in, unknown, name):
    sign_in("oli", "change_outboundmessage", "view_outboundmessage")

    assert client.get(address("unknown", unknown, name)).status_code == 403
    assert act(client, "unknown", unknown, name).status_code == 403
    assert OutboundMessage.objects.get(pk=unknown.pk).state == "unknown"


def test_taking_needs_its_right_and_a_post(client, sign_in, support, text):
    url = reverse("admin:inbox_take", args=["text", text.pk])
    assert client.get(url).status_code == 405
    sign_in("ada", "view_inboxitem")
    assert client.post(url).status_code == 403


def test_unknown_addresses_are_not_found(client, support, text):
    assert client.get("/admin/inbox/nonsense/1/dismiss/").status_code == 404
    assert client.get(address("text", text, "nonsense")).status_code == 404


def test_an_act_leads_back_to_the_list_with_its_filters_and_nowhere_outside(client, support, text):
    url = reverse("admin:inbox_act", args=["text", text.pk, "dismiss"])

    assert client.post(f"{url}?next=/admin/inbox/%3Fkind%3Dtext", {}).context["back"] == "/admin/inbox/?kind=text"
    assert client.post(f"{url}?next=//evil.example/", {}).context["back"] == INBOX
