"""The number that a participant gets in place of the old one."""

import pytest

from conversations.lifecycle.replace_number import preview, replace
from conversations.worker.periodic_jobs import run_jobs
from numbers.assignment.policy import Geography
from numbers.management.exit_codes import ExitCode
from numbers.models import NumberState, Pool, VirtualNumber
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk
from tests.support.outbox import later
from tests.support.replacements import number_of

pytestmark = pytest.mark.django_db


def test_the_replacement_numbers_can_be_specified(talking, run):
    old = number_of(talking)
    [wished] = add_numbers(1, start="+4477009006")
    VirtualNumber.objects.filter(pk=wished.pk).update(is_reserved=True)

    assert run("replace_number", old.number, "--with", wished.number, "--yes")[0] == ExitCode.DONE

    assert number_of(talking) == wished


def test_a_replacement_that_cannot_text_a_participant_is_not_used_for_them(run):
    [old] = add_numbers(1, "US", start="+121255501")
    add_numbers(1)
    conversation = talk("+12125550199", BOB)

    code, output = run("replace_number", old.number, "--with", "+447700900500", "--yes")

    assert code == ExitCode.PARTIAL
    assert "cannot text this participant" in output
    assert number_of(conversation) == old


def test_the_same_two_people_get_the_replacement_number_in_their_next_conversation(talking, time_machine, settings):
    old = number_of(talking, 1)
    list(replace(old))
    has, had = proxies(talking), [number_of(talking).number, old.number]
    talking.close()
    later(time_machine, settings.COOL_DOWN_SECONDS + 1)
    run_jobs()
    VirtualNumber.objects.filter(pk=old.pk).update(state=NumberState.ACTIVE)

    assert has != had
    assert proxies(talk(ALICE, BOB)) == has


def test_the_replacement_is_from_the_conversations_pool():
    berlin = Pool.objects.create(name="berlin")
    add_numbers(3)
    VirtualNumber.objects.update(pool=berlin)
    add_numbers(3, start="+4477009006")
    conversation = talk(ALICE, BOB, pool=berlin)

    list(replace(number_of(conversation)))

    assert number_of(conversation).pool == berlin


@pytest.mark.parametrize(("geography", "is_moved"), [("same-country", False), ("prefer", True), ("any", True)])
def test_the_replacement_follows_the_geography_that_the_conversation_was_created_with(
    run, settings, geography, is_moved
):
    settings.NUMBER_GEOGRAPHY = "any" if geography == "same-country" else "same-country"
    add_numbers(1)
    conversation = talk(ALICE, BOB, geography=Geography(geography))
    old = number_of(conversation)
    add_numbers(1, country="FR", start="+33757000")

    code, output = run("replace_number", str(old), "--yes")

    assert (number_of(conversation) != old) is is_moved
    assert (code == ExitCode.PARTIAL) is not is_moved
    assert ("needs an active number of GB" in output) is not is_moved


def test_a_conversation_without_a_stored_geography_follows_the_settings(run, settings):
    """Such a conversation was created before the geography was stored."""
    add_numbers(1)
    conversation = talk(ALICE, BOB)
    type(conversation).objects.update(geography="")
    add_numbers(1, country="FR", start="+33757000")
    settings.NUMBER_GEOGRAPHY = "same-country"

    assert preview(number_of(conversation)).stuck == 2

    settings.NUMBER_GEOGRAPHY = "prefer"
    assert preview(number_of(conversation)).stuck == 0
