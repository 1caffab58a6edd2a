"""Participants are spread evenly: ten thousand live participants on a hundred numbers, none much busier than the mean.

Each group of people gets its numbers from the product's own assignment, and the product's own methods count the pairs.
The rows of conversations are written in bulk, because ten thousand creations would take a minute.
"""

import random
from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from django.utils import timezone

from conversations.models import Conversation, Participant
from conversations.worker.periodic_jobs import release_cooled_down
from numbers.assignment.choose import assign_numbers
from numbers.assignment.policy import AssignmentPolicy
from numbers.models import RealNumber, VirtualNumber
from tests.support.builders import add_numbers

NUMBERS, LIVE, GROUP = 100, 10_000, 10


class Crowd:
    """Groups of people without an earlier conversation."""

    def __init__(self):
        self.newcomers = map(RealNumber.from_number, (f"+4474{index:08}" for index in count()))

    def come(self, how_many):
        participants = []
        for _ in range(how_many // GROUP):
            people = [next(self.newcomers) for _ in range(GROUP)]
            numbers = [choice.number for choice in assign_numbers(people, AssignmentPolicy(), newcomers=people)]
            assert VirtualNumber.objects.add_live_pairs(Counter(number.pk for number in numbers))
            conversation = Conversation()
            participants += [
                Participant(conversation=conversation, position=position, real_number=person, proxy_number=number)
                for position, (person, number) in enumerate(zip(people, numbers, strict=True))
            ]
        RealNumber.objects.bulk_create([each.real_number for each in participants])
        Conversation.objects.bulk_create([each.conversation for each in participants[::GROUP]])
        Participant.objects.bulk_create(participants)

    def go(self, participants):
        """End the cool-down of these participants and release their pairs."""
        Participant.objects.filter(pk__in=participants).update(release_at=timezone.now() - timedelta(seconds=1))
        while release_cooled_down():
            pass


def loads():
    """Return the live pairs of each number, counted from the participant rows."""
    counted = Counter(Participant.objects.unreleased().values_list("proxy_number", flat=True))
    return [counted[pk] for pk in VirtualNumber.objects.values_list("pk", flat=True)]


def busiest_to_mean():
    return max(loads()) / (sum(loads()) / NUMBERS)


@pytest.mark.slow
@pytest.mark.django_db
def test_the_busiest_number_carries_at_most_a_fifth_more_than_the_mean():
    add_numbers(NUMBERS)
    chance, crowd = random.Random(1), Crowd()

    crowd.come(LIVE)
    assert sum(loads()) == LIVE
    assert busiest_to_mean() <= 1.2

    # People leave at random, and a third of the numbers loses most of its people.
    gone = set(chance.sample(list(Participant.objects.values_list("pk", flat=True)), 1000))
    for number in chance.sample(list(VirtualNumber.objects.all()), NUMBERS // 3):
        gone |= set(number.participants.values_list("pk", flat=True)[:80])
    leaving = sorted(gone)[len(gone) % GROUP :]  # A multiple of the group size.
    crowd.go(leaving)
    assert busiest_to_mean() > 1.2, "expected an uneven spread before the next groups come"

    crowd.come(len(leaving))
    assert sum(loads()) == LIVE
    assert busiest_to_mean() <= 1.2
