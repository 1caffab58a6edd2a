"""Numbers are spread evenly: at ten thousand live participants on a hundred numbers, none is much busier than the rest.

People come in groups, each of which gets its numbers from the product's own assignment, and these are counted by its
own verbs. Only the rows of conversations are written many at a time: ten thousand creations would take a minute.
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
    """Groups of people who all have never had a conversation before."""

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
        """Their conversations have ended, and have cooled down."""
        Participant.objects.filter(pk__in=participants).update(release_at=timezone.now() - timedelta(seconds=1))
        while release_cooled_down():
            pass


def loads():
    """How many live pairs each number has, as its rows say."""
    counted = Counter(Participant.objects.unreleased().values_list("proxy_number", flat=True))
    return [counted[pk] for pk in VirtualNumber.objects.values_list("pk", flat=True)]


def busiest_to_mean():
    return max(loads()) / (sum(loads()) / NUMBERS)


@pytest.mark.django_db
def test_the_busiest_number_carries_at_most_a_fifth_more_than_the_mean():
    add_numbers(NUMBERS)
    chance, crowd = random.Random(1), Crowd()

    crowd.come(LIVE)
    assert sum(loads()) == LIVE
    assert busiest_to_mean() <= 1.2

    # People leave by chance, and a third of the numbers by and by serves nearly nobody any more.
    gone = set(chance.sample(list(Participant.objects.values_list("pk", flat=True)), 1000))
    for number in chance.sample(list(VirtualNumber.objects.all()), NUMBERS // 3):
        gone |= set(number.participants.values_list("pk", flat=True)[:80])
    leaving = sorted(gone)[len(gone) % GROUP :]  # As many as come in groups.
    crowd.go(leaving)
    assert busiest_to_mean() > 1.2, "the test is to have something to mend"

    crowd.come(len(leaving))
    assert sum(loads()) == LIVE
    assert busiest_to_mean() <= 1.2
