"""The command explain_route prints the route, and no real number."""

import pytest

from tests.support.builders import ALICE, STRANGER
from tests.support.explanations import has_no_real_number

pytestmark = pytest.mark.django_db


def test_the_command_prints_the_route_and_exits_with_0(run, to):
    code, output = run("explain_route", ALICE, to)

    assert code == 0
    assert output.startswith("RELAYED: The pair belongs to participant 0, and the conversation is open.")
    assert f"number        {to}, active, common pool" in output
    assert "“order-42”, open, common pool" in output
    assert "goes to       participant 1 (Bob), whose proxy number is +4477009005" in output
    assert has_no_real_number(output)


def test_the_command_exits_with_3_if_the_message_would_reach_nobody(run, to):
    code, output = run("explain_route", STRANGER, to)

    assert code == 3
    assert "It would not be relayed: no route." in output
    assert has_no_real_number(output)


def test_the_real_number_can_come_from_standard_input(run, to):
    assert run("explain_route", "-", to, types=f"{ALICE}\n")[0] == 0
    assert run("explain_route", "-", to, types="")[0] == 2


@pytest.mark.parametrize(
    "wrong",
    [
        ["07700900042", "+447700900500"],
        ["+447700900500", "07700 900042"],
        ["+44", "7700", "900042", "+447700900500"],
        ["+447700900042"],
        ["+4477009000427700900042", "+447700900500"],
    ],
)
def test_an_invalid_number_is_a_usage_error_that_does_not_quote_it(run, db, wrong):
    code, output = run("explain_route", *wrong)

    assert code == 2
    assert "xpected" in output
    assert "900042" not in output
