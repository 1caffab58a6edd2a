"""Creation without a free number: the answer and the record of the shortage, with its figures."""

from datetime import datetime

import pytest

from conversations.models import Conversation, OutboundMessage, Participant
from numbers.models import NumberEvent, RealNumber, Shortage, VirtualNumber
from tests.support.api_requests import counts_are_right, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk

pytestmark = pytest.mark.django_db


def test_a_shortage_is_reported_and_recorded_with_all_its_figures(create):
    add_numbers(2)
    add_numbers(1, "US", start="+1212555010")
    VirtualNumber.objects.filter(country="US").update(is_reserved=True)
    ended, _ = talk(ALICE, BOB), talk(ALICE, BOB)
    ended.close()

    def written():
        return [list(table.objects.order_by("pk").values()) for table in (Conversation, Participant, VirtualNumber)]

    before = written()

    body = is_refused(create(CHARLIE, {"number": ALICE, "label": "Rider"}), 409, "no_number_free")

    release_at = members(ended)[0].release_at
    figures = {"country": "GB", "numbers_eligible": 2, "numbers_in_use": 2, "numbers_needed": 3}
    assert body.items() >= (figures | {"participant": 1}).items()
    assert datetime.fromisoformat(body["next_release_at"]) == release_at
    assert body["detail"].startswith("Participant 1 (Rider): no virtual number is free")
    shortage = Shortage.objects.get()
    assert (shortage.country, shortage.eligible_count, shortage.in_use, shortage.needed) == ("GB", 2, 2, 3)
    assert (shortage.pool, shortage.next_release_at) == (None, release_at)
    assert shortage.real_number.number == ALICE
    assert ALICE[1:] not in shortage.reason
    assert written() == before
    assert not RealNumber.objects.with_number(CHARLIE).exists()
    assert not OutboundMessage.objects.exists()
    assert not NumberEvent.objects.exists()
    assert counts_are_right()


def test_the_shortage_of_an_unknown_person_is_recorded_without_a_real_number(create):
    is_refused(create(), 409, "no_number_free")

    shortage = Shortage.objects.get()
    assert (shortage.real_number, shortage.eligible_count, shortage.in_use, shortage.needed) == (None, 0, 0, 1)


def test_the_next_release_is_null_if_nothing_is_cooling_down(create):
    add_numbers(1)
    create()

    assert is_refused(create(), 409, "no_number_free")["next_release_at"] is None
