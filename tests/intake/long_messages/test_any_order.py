"""The parts of several long messages arrive in any order, with any losses and duplicates."""

from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from conversations.intake import long_messages
from conversations.models import InboundMessage, LimitUsage, LongMessage, OutboundMessage
from conversations.worker.periodic_jobs import relay_incomplete_long_messages
from numbers.models import RealNumber
from smsproxy.carriers.base import InboundText
from tests.support.builders import ALICE, BOB
from tests.support.hypothesis_profiles import examples
from tests.support.long_messages import joined_messages, relayed

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class SentMessage:
    """A long message of one person: its reference (group) and the texts of its parts."""

    sender: str
    to: str
    group: str
    parts: tuple[str, ...]

    def part(self, number, id):
        return InboundText(
            carrier_message_id=id,
            sender=self.sender,
            recipient=self.to,
            text=self.parts[number - 1],
            concat_ref=self.group,
            part=number,
            parts=len(self.parts),
        )


@st.composite
def arrivals(draw):
    """Draw the lengths of up to four long messages, and the order in which their parts arrive.

    Each arrival is (message, part, repeat). Some parts arrive again, as the same webhook or with another id.
    Some parts are lost. Each message has a reference of its own.
    """
    lengths = draw(st.lists(st.integers(2, 5), min_size=1, max_size=4))
    places = [(text, part) for text, length in enumerate(lengths) for part in range(1, length + 1)]
    lost = draw(st.sets(st.sampled_from(places), max_size=len(places) - 1))
    come = [(*place, "") for place in places if place not in lost]
    again = draw(st.lists(st.sampled_from(come), max_size=6))
    kinds = draw(st.lists(st.sampled_from(["", "again"]), min_size=len(again), max_size=len(again)))
    repeats = [(text, part, kind) for (text, part, _), kind in zip(again, kinds, strict=True)]
    return lengths, draw(st.permutations(come + repeats))


@examples(fast=8, thorough=25)
@given(arrivals())
def test_in_any_order_and_with_any_duplicates_each_message_is_relayed_once_without_lost_parts(
    alice_proxy, settings, come
):
    OutboundMessage.objects.all().delete()
    InboundMessage.objects.all().delete()
    LongMessage.objects.all().delete()
    LimitUsage.objects.all().delete()  # The loop breaker would remember the examples before.
    lengths, order = come
    bobs = RealNumber.objects.get_or_create_many([BOB])[BOB].participants.get().proxy_number.number
    texts = [
        SentMessage(
            (ALICE, BOB)[index % 2],
            (alice_proxy, bobs)[index % 2],
            f"{index}",
            tuple(f"<{index}.{part}>" for part in range(1, length + 1)),
        )
        for index, length in enumerate(lengths)
    ]

    for text, part, repeat in order:
        long_messages.take_in(texts[text].part(part, f"{text}.{part}{repeat}"))
    here = {text: {part for which, part, _ in order if which == text} for text, _, _ in order}
    complete = {text for text, parts in here.items() if len(parts) == lengths[text]}
    assert sorted(relayed()) == sorted("".join(texts[text].parts) for text in complete)

    LongMessage.objects.filter(closed_at=None).update(due_at=timezone.now() - timedelta(seconds=1))
    while relay_incomplete_long_messages():
        pass

    gone = "".join(relayed())
    for text, parts in here.items():
        for part in parts:
            assert gone.count(texts[text].parts[part - 1]) == 1
    assert len(relayed()) == len(here)
    assert sum(whole.missing_parts for whole in joined_messages()) == sum(
        lengths[t] - len(parts) for t, parts in here.items()
    )
