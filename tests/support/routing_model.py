"""A model of routing: for each pair of numbers, the conversations that it stood for, and when.

The model does not choose numbers: it takes those that the product gives, and checks that they were free. From that it
says who may get each text.
"""

import re
from contextlib import suppress
from dataclasses import dataclass, field
from dataclasses import replace as changed
from datetime import datetime, timedelta
from itertools import count

from django.utils import timezone
from hypothesis import event

from conversations.intake import long_messages
from conversations.intake.receive import receive
from conversations.lifecycle.replace_number import replace
from conversations.lifecycle.request import NoNumberFree
from conversations.models import Conversation, InboundMessage, LongMessage, OutboundMessage, Participant
from conversations.models.outbound_state import UNSETTLED
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import NumberState, RealNumber, VirtualNumber
from smsproxy.carriers.base import InboundText
from smsproxy.states import StaleState
from tests.support.builders import members, talk
from tests.support.outbox import work

PEOPLE = [f"+44770090000{index}" for index in range(4)]
TOLERANCE, COOL_DOWN = timedelta(seconds=60), timedelta(days=7)
TOKEN = r"<([tl][\d.]+)>"
# Gates of other rules may stop a text that could be relayed. Then nobody gets it, which is never wrong here.
STOPPED = {"held", "limited"}


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
    """A run of the product and of the model side by side: each step changes both, and compares them."""

    def __init__(self, clock, carrier):
        self.clock, self.carrier = clock, carrier
        self.talks: list[Talk] = []
        self.holds: list[Hold] = []
        self.texts: dict[str, Text] = {}
        self.long_texts: list[Text] = []
        self.opted_out: set[str] = set()
        self.checked: set[int] = set()
        self.relayed_in: dict[str, Talk] = {}
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
        self.note_reopenings()  # By a long message that stayed incomplete.
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
        self.check_relays()
        for sent in self.carrier.sent:
            assert sent.recipient not in self.opted_out, "a person who has opted out got a text"
            hold = self.holder(sent.recipient, sent.sender)
            for token in re.findall(TOKEN, sent.text):
                assert hold, "it came from a pair that stands for nobody"
                assert hold.talk is self.relayed_in[token], "it came from a pair of another conversation"

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
        """Check the recipients of each relay that was queued since the last check.

        Not at its delivery: the author's pair may have been released by then.
        """
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
                assert self.relayed_in.setdefault(token, made) is made, "it went to two conversations"

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
