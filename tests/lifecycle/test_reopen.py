"""A conversation reopens only with people with whom it could begin."""

from typing import Any

import pytest
from django.db import connection
from django.urls import reverse

from conversations.models import OutboundMessage
from conversations.trust.blocks import block_pair, block_person, block_prefix
from tests.support.api_requests import URL, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, talk
from tests.support.opt_outs import person

pytestmark = pytest.mark.django_db
WHO: dict[str, Any] = {"reason": "threats, reported by the other person", "actor": "sam"}


@pytest.fixture
def ended():
    add_numbers(3)
    return talk(ALICE, BOB, CHARLIE).close()


def opt_out_bob():
    person(BOB).opt_out(reason="texted STOP")


def block_bob():
    block_person(person(BOB), **WHO)


def block_bob_and_alice():
    block_pair(person(BOB), person(ALICE), **WHO)


def reopen(api, conversation):
    return api.post(f"{URL}{conversation.public_id}/reopen/")


@pytest.mark.parametrize(
    ("happens", "code", "detail"),
    [
        (opt_out_bob, "opted_out", "has opted out of messages with STOP. They can text START to any number of ours"),
        (block_bob, "blocked", "is blocked"),
        (block_bob_and_alice, "blocked", "is blocked towards participant 0"),
    ],
)
def test_reopening_with_a_person_who_opted_out_or_is_blocked_is_refused_as_a_creation_is(
    api, ended, happens, code, detail
):
    happens()

    problem = is_refused(reopen(api, ended), 409, code)

    assert problem["detail"].startswith(f"Participant 1 (Bob): {detail}")
    assert [each["pointer"] for each in problem["errors"]] == ["/participants/1/number"]
    ended.refresh_from_db()
    assert (ended.state, ended.reopened_at) == ("closed", None)
    assert all(each.release_at for each in members(ended)), "its numbers still cool down"


def test_a_blocked_prefix_of_a_participant_refuses_the_reopening(api, ended):
    block_prefix(ALICE[:11], **WHO)

    assert "Participant 0 (Alice)" in is_refused(reopen(api, ended), 409, "blocked")["detail"]


@pytest.mark.parametrize("happens", [opt_out_bob, block_bob])
def test_a_repeated_reopening_of_an_open_conversation_changes_nothing(api, ended, happens):
    reopen(api, ended)
    happens()

    answer = reopen(api, ended)

    assert (answer.status_code, answer.json()["status"]) == (200, "open")


def test_after_start_a_conversation_reopens(api, ended):
    person(BOB).opt_out(reason="texted STOP").opt_in(reason="texted START")

    assert reopen(api, ended).status_code == 200
    assert not OutboundMessage.objects.exists()


def test_a_number_that_no_key_decrypts_does_not_prevent_a_reopening(api, ended):
    block_prefix("+447999", **WHO)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE numbers_realnumber SET number = 'broken' WHERE id = %s", [person(BOB).pk])

    assert reopen(api, ended).status_code == 200


def test_staff_cannot_reopen_with_a_person_who_opted_out_and_read_why(admin_client, ended):
    opt_out_bob()
    data = {"action": "reopen", "_selected_action": ended.pk, "reason": "ticket 4711"}

    page = admin_client.post(reverse("admin:conversations_conversation_changelist"), data, follow=True)

    assert "Nothing was done. Bob has opted out of messages with STOP." in page.text
    assert "0 done, 1 refused" in page.text
    ended.refresh_from_db()
    assert ended.state == "closed"
