"""The command replace_number previews, confirms, resumes and reports a replacement."""

from itertools import islice

import pytest
from django.utils import timezone

from conversations.lifecycle.replace_number import preview, replace
from conversations.models import OutboundMessage, Participant
from numbers.management.exit_codes import ExitCode
from numbers.models import NumberState, VirtualNumber
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, proxies, talk
from tests.support.replacements import number_of
from tests.support.terminal import states

pytestmark = pytest.mark.django_db


def test_each_participant_gets_another_number_and_a_notice_from_it(talking, run):
    old = number_of(talking)

    code, output = run("replace_number", old.number, "--yes")

    assert code == ExitCode.DONE
    alice, bob = members(talking)
    assert alice.proxy_number != old
    assert alice.chosen_by == "replacement"
    [notice] = OutboundMessage.objects.all()
    assert (notice.sender, notice.recipient, notice.participant) == (alice.proxy_number, alice.real_number, alice)
    assert notice.text == "From now on, text this number to talk to Bob"
    assert "1 notice, 1 SMS" in output
    assert states()[old.number] == NumberState.DRAINING
    assert bob.replaces.count() == 0
    assert old.number in talking.events.first().reason


def test_the_preview_shows_the_number_of_notices_and_changes_nothing(talking, run, settings):
    settings.REPLACED_NOTICE = "x" * 170  # Two segments.
    add_numbers(1, start="+4477009006")
    old = number_of(talking)
    Participant.objects.filter(conversation=talk(ALICE, CHARLIE)).update(release_at=timezone.now())

    code, output = run("replace_number", old.number, "--dry-run")

    assert code == ExitCode.DONE
    assert "1 of 1 people would get another number" in output
    assert "1 notice, 2 SMS" in output
    assert states()[old.number] == NumberState.ACTIVE
    assert not OutboundMessage.objects.exists()


def test_the_preview_respects_the_number_cap(run, settings):
    [old] = add_numbers(1)
    for index in range(2):
        talk(f"+4477007000{index:02}", f"+4477008000{index:02}")
    add_numbers(1, start="+4477009006")
    settings.NUMBER_CAP = 3

    code, output = run("replace_number", old.number, "--dry-run")

    assert code == ExitCode.PARTIAL
    assert "3 of 4 people would get another number" in output
    assert "3 notices, 3 SMS" in output
    assert sum(moved.to is not None for moved in replace(old)) == 3


def test_an_unconfirmed_replacement_changes_nothing(talking, run):
    code, output = run("replace_number", number_of(talking).number, types="n\n")

    assert code == ExitCode.USAGE
    assert "Nothing was done" in output
    assert set(states().values()) == {"active"}


def test_no_notice_is_sent_if_its_text_is_empty_in_the_settings(talking, run, settings):
    settings.REPLACED_NOTICE = ""

    _, output = run("replace_number", number_of(talking).number, "--yes")

    assert "no notice would be sent" in output
    assert not OutboundMessage.objects.exists()


def test_a_participant_without_another_number_stays_and_is_moved_by_the_next_run(run):
    add_numbers(1)
    conversation = talk(ALICE, BOB)
    old = number_of(conversation)

    code, output = run("replace_number", old.number, "--yes")
    assert code == ExitCode.PARTIAL
    assert "2 of them have no other number yet" in output
    assert "no virtual number is free" in output
    assert number_of(conversation) == old

    add_numbers(1, start="+4477009006")
    assert run("replace_number", old.number, "--yes")[0] == ExitCode.DONE
    assert old.number not in proxies(conversation)


def test_the_next_run_resumes_a_stopped_one_and_sends_each_notice_once(run):
    [old] = add_numbers(1)
    conversations = [talk(f"+4477007000{index:02}", f"+4477008000{index:02}") for index in range(3)]
    add_numbers(3, start="+4477009006")
    list(islice(replace(old), 4))
    assert preview(VirtualNumber.objects.get(pk=old.pk)).people == 2

    assert run("replace_number", old.number, "--yes")[0] == ExitCode.DONE

    assert OutboundMessage.objects.count() == 6
    assert not any(old.number in proxies(each) for each in conversations)


def test_ended_conversations_keep_the_number_until_they_have_cooled_down(talking, run):
    old = number_of(talking)
    talking.close()

    _, output = run("replace_number", old.number, "--yes")

    assert "1 pairs of ended conversations stay" in output
    assert number_of(talking) == old


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+447700900999"], "not in the pool"),
        (["+447700900500", "--with", "+447700900500"], "expected another number"),
        (["+447700900500", "--with", "+447700900501"], "it is draining"),
        (["+447700900502"], "is not in use: it is retired"),
    ],
)
def test_invalid_arguments_are_rejected_before_any_change(run, arguments, message):
    _, draining, retired = add_numbers(3)
    draining.drain(reason="test")
    retired.retire(reason="test")

    code, output = run("replace_number", *arguments, "--yes")

    assert code == ExitCode.USAGE
    assert message in output
    assert states()["+447700900500"] == "active"


def test_the_output_shows_no_real_number(talking, run):
    _, output = run("replace_number", number_of(talking).number, "--yes")

    assert ALICE[-7:] not in output
