"""Staff pass on a text without a route in a conversation: once, and only as any text may be passed on."""

from datetime import timedelta

import pytest

from conversations.intake import settle
from conversations.intake.attach import CannotAttach
from conversations.models import Block, Conversation, InboundMessage, InboxItem, OutboundMessage, Participant
from conversations.trust.blocks import block_person
from numbers.models import RealNumber, VirtualNumber
from smsproxy.database.clock import database_now
from smsproxy.events.models import FeedEvent
from smsproxy.states import StaleState
from tests.support.builders import ALICE, BOB, CHARLIE, STRANGER, add_numbers, members, talk
from tests.support.concurrency import at_once
from tests.support.inbox import free_number, lost_text, relays_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation():
    add_numbers(6)
    return talk(ALICE, BOB)


@pytest.fixture
def text(conversation):
    return lost_text(ALICE, free_number(conversation))


def pass_on(text, conversation, last=None):
    return settle.pass_on(text, conversation, last=last or text.pk, actor="sam")


def person(number):
    return RealNumber.objects.with_number(number).get()


def test_the_others_get_the_text_as_one_of_its_sender(conversation, text):
    assert pass_on(text, conversation) == 1

    assert relays_of(text) == ["Bob: The parcel is at gate 7"]
    text.refresh_from_db()
    assert (text.outcome, text.participant) == ("relayed", members(conversation)[0])
    [relay] = OutboundMessage.objects.filter(inbound=text)
    assert relay.sender == members(conversation)[1].proxy_number
    item = InboxItem.objects.get()
    assert (item.inbound, item.outcome, item.done_by) == (text, "attached", "sam")


def test_in_a_group_each_other_participant_gets_it_once_and_sees_who_wrote(conversation):
    group = talk(ALICE, BOB, CHARLIE)
    text = lost_text(CHARLIE, free_number(group))

    pass_on(text, group)

    assert relays_of(text) == ["Alice: Charlie: The parcel is at gate 7", "Bob: Charlie: The parcel is at gate 7"]


def test_the_marketplace_learns_that_the_text_was_received_and_relayed(conversation, text):
    pass_on(text, conversation)

    events = FeedEvent.objects.filter(inbound_id=text.pk).order_by("pk").values_list("type", "conversation_id")
    assert list(events) == [
        ("inbound.unmatched", None),
        ("message.received", conversation.pk),
        ("message.relayed", conversation.pk),
    ]


def test_several_texts_are_passed_on_in_their_order(conversation, text):
    second = lost_text(ALICE, text.virtual_number.number, "And the code is at the desk")

    assert pass_on(text, conversation, last=second.pk) == 2

    texts = OutboundMessage.objects.filter(kind="relay").order_by("pk")
    assert [each.text for each in texts] == ["The parcel is at gate 7", "And the code is at the desk"]


def test_a_text_that_its_member_of_staff_has_not_seen_stays(conversation, text):
    unseen = lost_text(ALICE, text.virtual_number.number, "unseen")

    pass_on(text, conversation)

    unseen.refresh_from_db()
    assert (unseen.outcome, relays_of(unseen)) == ("no_route", [])


def test_an_old_text_is_as_old_as_its_passing_on(conversation, text, settings):
    ago = database_now() - timedelta(days=3)
    InboundMessage.objects.update(received_at=ago)
    Conversation.objects.update(created_at=ago - timedelta(days=1))
    settings.MESSAGE_MAX_AGE_SECONDS = 3600

    pass_on(InboundMessage.objects.get(), Conversation.objects.get())

    [relay] = OutboundMessage.objects.filter(inbound=text)
    assert not relay.is_too_old(database_now())


def test_a_text_is_passed_on_once(conversation, text):
    pass_on(text, conversation)

    with pytest.raises(StaleState):
        pass_on(text, conversation)
    assert len(relays_of(text)) == 1


def ended(conversation):
    conversation.close()


def over(conversation):
    Conversation.objects.update(expires_at=database_now() - timedelta(seconds=1))


def held(conversation):
    conversation.hold(reason="spam", actor="sam")


def sender_opted_out(conversation):
    person(ALICE).opt_out(reason="STOP")


def recipient_opted_out(conversation):
    person(BOB).opt_out(reason="STOP")


def blocked(conversation):
    block_person(person(ALICE), reason="spam", actor="sam")


def one_way(conversation):
    Participant.objects.filter(position=0).update(one_way=True)


def younger(conversation):
    Conversation.objects.update(created_at=database_now() + timedelta(minutes=1))


def erased(conversation):
    InboundMessage.objects.update(text="")


def of_others(conversation):
    Participant.objects.filter(position=0).update(real_number=RealNumber.objects.add([CHARLIE])[CHARLIE])


def too_long(conversation):
    InboundMessage.objects.update(text="é" * 3000)


@pytest.mark.parametrize(
    ("happen", "told"),
    [
        (ended, "Reopen it"),
        (over, "Reopen it"),
        (held, "Release the hold"),
        (sender_opted_out, "opted out"),
        (recipient_opted_out, "opted out"),
        (blocked, "End the block"),
        (one_way, "only receives"),
        (younger, "older than this conversation"),
        (erased, "Dismiss it"),
        (of_others, "not in this conversation"),
        (too_long, "too long"),
    ],
)
def test_a_text_that_may_not_be_passed_on_stays_and_staff_learn_what_to_do(conversation, text, happen, told):
    happen(conversation)

    with pytest.raises(CannotAttach, match=told):
        pass_on(text, conversation)
    text.refresh_from_db()
    assert (text.outcome, text.settled_at, relays_of(text)) == ("no_route", None, [])
    assert not InboxItem.objects.exists()


def test_the_limits_of_a_person_hold_and_then_none_of_several_texts_is_passed_on(conversation, text, settings):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    second = lost_text(ALICE, text.virtual_number.number)

    with pytest.raises(CannotAttach, match="Try again"):
        pass_on(text, conversation, last=second.pk)
    assert (relays_of(text), relays_of(second)) == ([], [])


# Settled otherwise ----------------------------------------------------------------------------------------------------


def test_an_answer_goes_to_the_sender_from_the_number_that_they_wrote_to(conversation):
    text = lost_text(STRANGER, free_number(conversation))
    OutboundMessage.objects.all().delete()

    settle.answer_and_settle(text, "Please call us", last=text.pk, actor="sam")

    [answer] = OutboundMessage.objects.all()
    assert (answer.recipient, answer.sender, answer.text) == (text.sender, text.virtual_number, "Please call us")
    assert (answer.conversation, answer.events.get().actor) == (None, "sam")


def test_blocking_the_sender_settles_their_texts(conversation):
    text = lost_text(STRANGER, free_number(conversation))

    settle.block_sender(text, reason="spam", last=text.pk, actor="sam")

    assert Block.objects.active().get().person == text.sender
    text.refresh_from_db()
    assert (text.outcome, InboxItem.objects.get().outcome) == ("no_route", "blocked")
    assert text.settled_at


# At once --------------------------------------------------------------------------------------------------------------


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_members_of_staff_at_once_pass_it_on_once(conversation):
    other = talk(ALICE, CHARLIE)
    text = lost_text(ALICE, VirtualNumber.objects.exclude(participants__isnull=False).latest("pk").number)

    def work(index):
        try:
            return pass_on(text, [conversation, other][index % 2])
        except StaleState:
            return 0

    assert sum(at_once(6, work)) == 1
    assert len(relays_of(text)) == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_different_acts_at_once_one_is_done(conversation, text):
    acts = [
        lambda: pass_on(text, conversation),
        lambda: settle.answer_and_settle(text, "hello", last=text.pk, actor="kim"),
        lambda: settle.dismiss(text, last=text.pk, actor="lou"),
        lambda: settle.block_sender(text, reason="spam", last=text.pk, actor="max"),
    ]

    def work(index):
        try:
            acts[index]()
        except (StaleState, CannotAttach):
            return 0
        return 1

    assert sum(at_once(4, work)) == 1
    assert InboxItem.objects.count() == 1


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_several_members_of_staff_at_once_one_takes_it(conversation, text):
    def work(index):
        try:
            InboxItem.objects.take(text, since=text.received_at, actor=f"staff-{index}")
        except StaleState:
            return 0
        return 1

    assert sum(at_once(6, work)) == 1
