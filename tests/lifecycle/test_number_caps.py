"""The cap on the live participants of a number."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import permutations

import pytest
from django.db import connection

from conversations.lifecycle.request import NoNumberFree
from conversations.models import (
    Conversation,
    Participant,
)
from conversations.worker.periodic_jobs import run_jobs
from numbers.models import Pool, Shortage, VirtualNumber
from tests.support.api_requests import counts_are_right, given, is_refused, of_pool
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.outbox import later

NEW_YORKER = "+12125550199"

pytestmark = pytest.mark.django_db


def test_a_number_has_no_more_live_participants_than_its_cap(create, settings):
    settings.NUMBER_CAP = 3
    add_numbers(2)

    made = [create(f"+4477007{index:05}", f"+4477008{index:05}") for index in range(4)]

    assert [answer.status_code for answer in made] == [201, 201, 201, 409]
    assert set(VirtualNumber.objects.values_list("live_pair_count", flat=True)) == {3}
    detail = is_refused(made[-1], 409, "no_number_free")["detail"]
    assert (
        "0 serve other conversations of theirs, and the others have as many live participants as a number may" in detail
    )
    assert counts_are_right()


@pytest.mark.parametrize("named", [False, True])
def test_the_last_place_on_a_number_goes_to_only_one_of_two_participants(create, settings, named):
    settings.NUMBER_CAP = 3
    [number] = add_numbers(1)
    create()
    wish = {"proxy_number": number.number} if named else {}

    code = "proxy_number_taken" if named else "no_number_free"
    body = is_refused(create({"number": CHARLIE, **wish}, {"number": "+447700900004", **wish}), 409, code)

    assert body["errors"][0]["pointer"].startswith("/participants/1")
    assert counts_are_right()


def test_the_last_place_on_a_number_goes_to_the_participant_who_requests_it(create, settings):
    settings.NUMBER_CAP = 1
    [british] = add_numbers(1)
    [french] = add_numbers(1, "FR", start="+33700000")

    answer = create(ALICE, {"number": BOB, "proxy_number": british.number})

    assert given(answer) == [french.number, british.number]
    assert counts_are_right()


@pytest.mark.parametrize("people", list(permutations([ALICE, NEW_YORKER, "+12125550102"])))
def test_the_last_place_on_a_number_goes_to_the_participant_without_an_alternative(create, settings, people):
    """Alice can use any of the three numbers, the others only the two American ones."""
    settings.NUMBER_CAP = 1
    add_numbers(1)
    add_numbers(2, "US", start="+121255502")

    answer = create(*people, geography="any")

    assert sorted(given(answer)) == ["+12125550200", "+12125550201", "+447700900500"]
    assert counts_are_right()


def test_a_pool_can_set_its_own_cap(create, settings):
    settings.NUMBER_CAP = 1
    of_pool("berlin", 1, start="+4477009006")
    Pool.objects.update(number_cap=4)

    made = [create(f"+4477007{index:05}", f"+4477008{index:05}", pool="berlin") for index in range(3)]

    assert [answer.status_code for answer in made] == [201, 201, 409]


def test_cooling_pairs_count_towards_the_cap_until_their_release(create, settings, time_machine):
    settings.NUMBER_CAP = 2
    add_numbers(1)
    create()
    Conversation.objects.get().close()
    assert create(CHARLIE, "+447700900004").status_code == 409

    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()

    assert create(CHARLIE, "+447700900004").status_code == 201


def test_a_full_number_is_not_given_even_on_request(create, settings):
    settings.NUMBER_CAP = 2
    [number] = add_numbers(1)
    create()

    answer = create({"number": CHARLIE, "proxy_number": number.number}, "+447700900004")

    assert "the requested virtual number" in is_refused(answer, 409, "proxy_number_taken")["detail"]
    assert not Shortage.objects.exists()


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres
def test_sixteen_concurrent_creators_never_exceed_the_cap_of_a_number(settings):
    settings.NUMBER_CAP = 7
    add_numbers(5)

    def create_four(worker):
        try:
            for index in range(4):
                with suppress(NoNumberFree):
                    talk(f"+44770070{worker:02}{index:02}", f"+44770080{worker:02}{index:02}")
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(create_four, range(16)))

    # There are 5 x 7 places. Each conversation fills two of them, so one place stays free.
    assert set(VirtualNumber.objects.values_list("live_pair_count", flat=True)) <= {6, 7}
    assert Participant.objects.count() == 34
    assert counts_are_right()
