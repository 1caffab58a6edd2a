"""Routing against a model of its rules: any history of conversations, and texts that arrive late, in parts and again.

The model knows for each pair of numbers which conversation it stood for, and when. It does not choose numbers: it takes
those that the product gives, and checks that they were free. From that it says who may get each text.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import time_machine
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import event, example, given
from hypothesis import strategies as st

from conversations.intake import fast_path, long_messages
from conversations.intake.receive import receive
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import NoNumberFree
from conversations.models import Conversation, InboundMessage, LongMessage, OutboundMessage, Participant
from conversations.models.outbound import UNSETTLED
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState
from tests.support.builders import add_numbers, members, talk
from tests.support.hypothesis_profiles import model_examples
from tests.support.outbox import work

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PEOPLE = [f"+44770090000{index}" for index in range(4)]
TOLERANCE, COOL_DOWN = timedelta(seconds=60), timedelta(days=7)
TOKEN = r"<([tl][\d.]+)>"
# Gates of other rules may stop a text that could be relayed. Then nobody gets it, which is never wrong here.
STOPPED = {"held", "limited"}

WHICH = st.integers(0, 99)
GROUP = st.tuples(st.sampled_from([2, 2, 2, 3]), st.permutations(PEOPLE)).map(lambda drawn: drawn[1][: drawn[0]])
# Seconds between the carrier's time of a text and its arrival. Negative: the carrier's clock is ahead.
LAG = st.sampled_from([0, 0, 0, 1, 30, 59, 61, 200, 20 * 3600, 4 * 86400, -3600, None])
TALK = st.tuples(
    st.just("talk"), GROUP, st.sampled_from(["strict", "soft", "soft"]), st.sampled_from(["end", "reopen"])
)
TEXT = st.tuples(st.just("text"), WHICH, LAG)
PART = st.tuples(st.just("part"), WHICH, st.integers(1, 3), st.integers(0, 3), LAG.filter(lambda lag: lag is not None))
STEP = st.one_of(
    TALK,
    TALK.map(lambda step: step),  # Mapped, because Hypothesis merges equal strategies.
    TEXT,
    TEXT.map(lambda step: step),
    PART,
    PART.map(lambda step: step),
    st.tuples(st.just("close"), WHICH),
    st.tuples(st.just("close"), WHICH).map(lambda step: step),
    st.tuples(st.just("reopen"), WHICH),
    st.tuples(st.just("replace"), WHICH, st.booleans()),
    st.tuples(st.just("opt_out"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("opt_in"), st.sampled_from(PEOPLE)),
    st.tuples(st.just("deliver")),
    st.tuples(st.just("wait"), st.sampled_from([1, 20, 61, 200, 3600, 3 * 86400, 8 * 86400]), st.booleans()),
)
HISTORY = st.integers(10, 40).flatmap(lambda length: st.lists(STEP, min_size=length, max_size=length))


@dataclass(eq=False)
class Talk:
    people: list[str]
    late: str
    row: Conversation
    is_open: bool = True


@dataclass(eq=False)
class Hold:
    """The time in which a pair of numbers stands for a conversation. is_current: the person has no newer number."""

    person: str
    number: str
    talk: Talk
    since: datetime
    release_at: datetime | None = None
    released_at: datetime | None = None
    is_current: bool = True

    def covers(self, moment):
        return self.since <= moment and (self.released_at is None or self.released_at > moment)


@dataclass(eq=False)
class Text:
    """A text as its author wrote it. Of a long one, `arrivals` grows with each part. sent: the carrier's times."""

    person: str
    number: str
    reference: str = ""
    arrivals: list[datetime] = field(default_factory=list)
    sent: list[datetime] = field(default_factory=list)
    parts: dict[int, datetime] = field(default_factory=dict)


class History:
    def __init__(self, clock, carrier):
        self.clock, self.carrier = clock, carrier
        self.talks: list[Talk] = []
        self.holds: list[Hold] = []
        self.texts: dict[str, Text] = {}
        self.long_texts: list[Text] = []
        self.opted_out: set[str] = set()
        self.checked: set[int] = set()
        self.ids = count(1)

    # Steps -----------------------------------------------------------------------------------------------------------

    def talk(self, people, on_exhausted, late):
        if self.opted_out & {*people}:
            return
        kept = self.unsettled_pairs()
        try:
            row = talk(*people, on_exhausted=on_exhausted, late_messages=late)
        except NoNumberFree:
            return
        made = Talk(list(people), late, row)
        self.talks.append(made)
        for member in members(row):
            self.give(made, member, kept)

    def give(self, made, member, kept=frozenset()):
        person, number = member.real_number.number, member.proxy_number.number
        if old := self.holder(person, number):
            assert not old.talk.is_open, "the pair of an open conversation was given away"
            assert (person, number) not in kept, "a pair was given away with something unsettled"
            old.released_at = timezone.now()
        self.holds.append(Hold(person, number, made, timezone.now()))

    def close(self, which):
        if (made := self.pick(self.talks, which)) and made.is_open:
            self.fresh(made).close()
            made.is_open = False
            for hold in self.holds:
                if hold.talk is made and hold.released_at is None:
                    hold.release_at = timezone.now() + COOL_DOWN

    def reopen(self, which):
        made = self.pick(self.talks, which)
        if not made or made.is_open:
            return
        is_possible = self.can_reopen(made)
        with suppress(StaleState):
            self.fresh(made).reopen()
            assert is_possible, "it has lost a number"
            self.is_reopened(made)

    def can_reopen(self, made):
        return all(hold.released_at is None for hold in self.holds if hold.talk is made and hold.is_current)

    def is_reopened(self, made):
        made.is_open = True
        for hold in self.holds:
            if hold.talk is made and hold.is_current:
                hold.release_at = None

    def replace(self, which, in_quarantine):
        """Replace a number, and put it back into service."""
        if not (hold := self.pick([hold for hold in self.holds if hold.is_current and hold.talk.is_open], which)):
            return
        number = VirtualNumber.objects.get(number=hold.number)
        if in_quarantine and number.state == NumberState.ACTIVE:
            number.quarantine(reason="test")
        for moved in list(replace(number)):
            if moved.to:
                person = RealNumber.objects.get(participants=moved.participant).number
                [old] = [each for each in self.holds if each.is_current and each.number == hold.number
                         and each.person == person and each.talk.row == moved.participant.conversation]  # fmt: skip
                old.is_current, old.release_at = False, timezone.now() + COOL_DOWN
                moved.participant.refresh_from_db()
                self.give(old.talk, moved.participant.current)
        number.refresh_from_db()
        if number.state != NumberState.ACTIVE:
            number.restore(reason="test")

    def opt_out(self, person):
        """Opt out as STOP does: what is queued for the person is cancelled."""
        self.opted_out.add(person)
        rows = RealNumber.objects.with_number(person)
        rows.update(opted_out_at=timezone.now())
        OutboundMessage.objects.filter(recipient__in=rows, state="queued").update(state="cancelled")

    def opt_in(self, person):
        self.opted_out.discard(person)
        RealNumber.objects.with_number(person).update(opted_out_at=None)

    def wait(self, seconds, and_sweep):
        self.clock.shift(timedelta(seconds=seconds))
        if and_sweep:
            self.sweep()

    def sweep(self):
        run_jobs()
        self.check_relays()
        for hold in self.holds:
            if hold.released_at is None and hold.release_at and hold.release_at <= timezone.now():
                hold.released_at = timezone.now()

    def text(self, which, lag):
        if not (hold := self.pick(self.holds, which)):
            return
        token = f"t{next(self.ids)}"
        text = self.texts[token] = Text(hold.person, hold.number, arrivals=[timezone.now()])
        sent_at = self.sent(lag)
        text.sent = [] if sent_at is None else [sent_at]
        message = InboundText(
            carrier_message_id=token,
            sender=hold.person,
            recipient=hold.number,
            text=f"<{token}>",
            sent_at=sent_at,
        )
        expected, made = self.expected(text)
        for _ in range(2):  # The carrier repeats the webhook.
            receive(message)
        row = InboundMessage.objects.get(carrier_message_id=token)
        assert row.outcome in {expected, *(STOPPED if expected == "relayed" else ())}
        reached = {relay.recipient.number for relay in row.relays.select_related("recipient")}
        assert reached == (self.recipients(made, hold.person) if row.outcome == "relayed" else set())
        if row.outcome == "relayed" and not made.is_open:
            self.is_reopened(made)
        event(f"text {row.outcome}")
        self.check_relays()

    def part(self, which, number, new, lag):
        """Deliver one of three parts of a long text: of a new one, or one that is late or comes again."""
        if not (hold := self.pick(self.holds, which)):
            return
        text = self.pick(self.long_texts, which)
        if text is None or not new:
            text = Text(hold.person, hold.number, reference=f"{len(self.long_texts) % 256}")
            self.long_texts.append(text)
        token = f"l{self.long_texts.index(text)}.{number}"
        self.texts[token] = text
        # A part that comes again keeps the carrier's time.
        text.parts.setdefault(number, self.sent(lag))
        text.sent.append(text.parts[number])
        text.arrivals.append(timezone.now())
        long_messages.take_in(
            InboundText(
                carrier_message_id=f"{token}-{next(self.ids)}",
                sender=text.person,
                recipient=text.number,
                text=f"<{token}>",
                sent_at=text.parts[number],
                concat_ref=text.reference,
                part=number,
                parts=3,
            )
        )
        self.check_relays()
        self.note_reopenings()

    def deliver(self):
        self.carrier.sent.clear()
        work()
        for sent in self.carrier.sent:
            assert sent.recipient not in self.opted_out, "a person who has opted out got a text"
            hold = self.holder(sent.recipient, sent.sender)
            for token in re.findall(TOKEN, sent.text):
                assert hold, "it came from a pair that stands for nobody"
                made = self.relayed_from(self.texts[token], sent.text)
                assert hold.talk is made, "it came from a pair of another conversation"

    # Checks ----------------------------------------------------------------------------------------------------------

    def expected(self, text):
        """Return the outcome of a text that arrives now in one piece, and its conversation."""
        hold = self.holder(text.person, text.number)
        if text.person in self.opted_out:
            return "opted_out", None
        if hold is None:
            return "no_route", None
        made = self.written_in(text)
        if made is None:
            written_at = min(text.arrivals + text.sent)
            before = [each for each in self.of_pair(text) if each is not hold and each.since <= written_at]
            return "ended" if before else "no_route", None
        if not made.is_open and not (made.late == "reopen" and self.can_reopen(made)):
            return "ended", made
        return ("relayed" if self.recipients(made, text.person) else "opted_out"), made

    def written_in(self, text):
        """Return the conversation that may get the text, or None: the one that its pair stood for when it was written.

        The carrier's clock is trusted to TOLERANCE, but not where the pair stood for other people at that time.
        """
        hold = self.holder(text.person, text.number)
        if hold is None:
            return None
        is_long = bool(text.reference)
        if is_long and min(text.arrivals) < hold.since:
            return None
        written_at = min(text.arrivals + text.sent)
        if written_at >= hold.since:
            return hold.talk
        theirs = [each for each in self.of_pair(text) if each is not hold and each.released_at > written_at]
        strangers = {person for each in theirs for person in each.talk.people} - {*hold.talk.people}
        return hold.talk if written_at >= hold.since - TOLERANCE and not strangers else None

    def relayed_from(self, text, words):
        """Return the conversation that may get these words of the text, or None.

        Words with a gap may be relayed before the last parts came, and those do not make them older.
        """
        for known_parts in range(len(text.arrivals), 0, -1):
            known = changed(text, arrivals=text.arrivals[:known_parts], sent=text.sent[:known_parts])
            if (made := self.written_in(known)) or "[...]" not in words:
                return made
        return None

    def check_relays(self):
        """Check the recipients of each relay that was queued since the last check."""
        for relay in OutboundMessage.objects.filter(kind="relay").exclude(pk__in=self.checked):
            self.checked.add(relay.pk)
            person = relay.recipient.number
            assert person not in self.opted_out
            for token in re.findall(TOKEN, relay.text):
                text = self.texts[token]
                made = self.relayed_from(text, relay.text)
                assert made, "nobody may get it"
                assert relay.conversation == made.row, "it went to another conversation"
                assert person in set(made.people) - {text.person}, "it went to somebody else"

    def note_reopenings(self):
        for made in self.talks:
            if not made.is_open and self.fresh(made).state == "open":
                assert made.late == "reopen"
                self.is_reopened(made)

    def end(self):
        """Let everything end, and check that nothing is left without an outcome."""
        for person in PEOPLE:
            self.opt_in(person)
        for _ in range(3):
            self.wait(1200, and_sweep=True)
            self.note_reopenings()
            self.deliver()
        assert not LongMessage.objects.filter(closed_at=None).exists()
        assert not OutboundMessage.objects.filter(state__in=UNSETTLED).exists()
        outcomes = dict(InboundMessage.objects.values_list("carrier_message_id", "outcome"))
        assert set(self.texts) - outcomes.keys() <= {token for token in self.texts if token.startswith("l")}
        whole = [name for name in outcomes if name.startswith("long:")]
        assert len(whole) == LongMessage.objects.count()
        assert all(outcomes.values())

    # Helpers ---------------------------------------------------------------------------------------------------------

    def recipients(self, made, author):
        return {*made.people} - {author} - self.opted_out

    def holder(self, person, number):
        """Return who has this pair now, or None. There is never more than one."""
        found = [each for each in self.holds if (each.person, each.number) == (person, number) and not each.released_at]
        assert len(found) < 2
        return found[0] if found else None

    def of_pair(self, text):
        return [each for each in self.holds if (each.person, each.number) == (text.person, text.number)]

    def unsettled_pairs(self):
        """Return the pairs with something under way, in or out."""
        found = set(LongMessage.objects.filter(closed_at=None).values_list("sender", "virtual_number"))
        under_way = OutboundMessage.objects.filter(state__in=UNSETTLED)
        found |= set(under_way.values_list("recipient", "sender"))
        for message in under_way.exclude(conversation=None).select_related("inbound"):
            both = [message.recipient_id, message.inbound.sender_id if message.inbound else None]
            theirs = Participant.objects.filter(conversation=message.conversation_id, real_number__in=both)
            found |= set(theirs.values_list("real_number", "proxy_number"))
        people, numbers = RealNumber.objects.in_bulk(), VirtualNumber.objects.in_bulk()
        return {(people[person].number, numbers[number].number) for person, number in found}

    def sent(self, lag):
        return None if lag is None else (timezone.now() - timedelta(seconds=lag)).replace(microsecond=0)

    def fresh(self, made):
        return Conversation.objects.get(pk=made.row.pk)

    def pick(self, among, which):
        return among[which % len(among)] if among else None


A, B, C, D = PEOPLE


def steps_of_a_cut(*between):
    """Return a history in which the pair of the first two people goes to the first and a third."""
    return [
        ("talk", [A, B], "strict", "end"),
        ("talk", [A, D], "strict", "end"),
        ("wait", 3 * 86400, True),
        *between,
        ("close", 0),
        ("talk", [A, C], "soft", "end"),
    ]


@pytest.fixture(params=["fast path", "general path"])
def path(request, monkeypatch):
    if request.param == "general path":
        monkeypatch.setattr(fast_path, "is_available", lambda: False)
    elif connection.vendor != "postgresql":
        pytest.skip("SQLite has only the general path")


LATE_PARTS = [
    *steps_of_a_cut(("part", 0, 1, 0, 0)),
    ("wait", 200, True),
    ("deliver",),
    ("talk", [A, C], "soft", "end"),
    ("part", 0, 2, 1, 0),
    ("part", 0, 3, 1, 0),
]
OLD_WEBHOOKS = [
    *steps_of_a_cut(),
    ("wait", 3600, True),
    ("text", 0, 20 * 3600),
    ("text", 0, 3601),
    ("text", 0, 0),
]
A_PART_BEFORE_THE_CONVERSATION = [
    ("talk", [A, B], "strict", "end"),
    ("talk", [A, D], "strict", "end"),
    ("close", 0),
    ("wait", 8 * 86400, True),
    ("part", 0, 1, 0, 0),
    ("wait", 20, True),
    ("talk", [A, C], "strict", "end"),
    ("part", 0, 2, 1, 0),
    ("part", 0, 3, 1, 0),
]
OPT_OUTS_AND_A_REPLACED_NUMBER = [
    ("talk", [A, B, C], "strict", "end"),
    ("opt_out", B),
    ("text", 0, 0),
    ("opt_in", B),
    ("text", 0, 0),
    ("replace", 1, True),
    ("text", 0, 0),
    ("deliver",),
]


@model_examples(fast=20, thorough=100)
@given(history=HISTORY)
@example(history=LATE_PARTS)
@example(history=A_PART_BEFORE_THE_CONVERSATION)
@example(history=OLD_WEBHOOKS)
@example(history=steps_of_a_cut(("text", 0, 0)))
@example(history=OPT_OUTS_AND_A_REPLACED_NUMBER)
def test_a_text_reaches_the_people_of_the_conversation_it_was_written_in_and_nobody_else(
    db, path, settings, carrier, history
):
    settings.REPLACED_NOTICE = ""
    settings.COOL_DOWN_SECONDS = COOL_DOWN.total_seconds()
    with time_machine.travel(BEGIN, tick=False) as clock, transaction.atomic():
        add_numbers(2)
        run = History(clock, carrier)
        for name, *arguments in history:
            getattr(run, name)(*arguments)
        run.end()
        transaction.set_rollback(True)


def test_the_model_says_who_held_a_pair_when_a_text_was_written():
    """Check the model itself by hand."""
    first, second = (
        Talk([A, B], "end", Conversation(created_at=BEGIN)),
        Talk([A, C], "end", Conversation(created_at=BEGIN)),
    )
    run = History(None, None)
    noon, second_of_time = BEGIN + timedelta(hours=12), timedelta(seconds=1)
    run.holds = [Hold(A, "n", first, BEGIN, released_at=noon), Hold(A, "n", second, noon)]

    def written(moment, *, reference="", arrival=noon + timedelta(hours=1)):
        return run.written_in(Text(A, "n", reference, arrivals=[arrival], sent=[moment]))

    assert written(noon) is second
    assert written(noon - second_of_time) is None
    assert written(noon + second_of_time, reference="7", arrival=noon - second_of_time) is None
    second.people = [A, B]
    assert written(noon - second_of_time) is second
    assert written(noon - TOLERANCE - second_of_time) is None
