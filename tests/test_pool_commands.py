"""The commands of the pool, as an operator and as a script meet them."""

import io
import sys
import threading
import time
from datetime import timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.utils import timezone

from conversations.models import Conversation, OutboundMessage, OutboundState, Participant
from conversations.sweeps import sweep
from numbers.management.exit_codes import EPILOG, ExitCode
from numbers.management.pool_command import PoolCommand
from numbers.models import NumberOrder, NumberState, RealNumber, VirtualNumber
from numbers.releasing import CannotRelease, release
from smsproxy.carriers.base import AccountFault, OutcomeUnknown, Refused, TryLater
from smsproxy.public_urls import inbound_sms_url
from tests.people import ALICE, BOB, add_numbers, proxies, talk
from tests.rentals import LOST, offer

pytestmark = pytest.mark.django_db

TWO = ["provision_numbers", "--country", "GB", "--count", "2"]


class Terminal(io.StringIO):
    """Somebody sits there and types."""

    def isatty(self):
        return True


@pytest.fixture
def run(monkeypatch):
    """Runs a command; returns its exit code, and what it wrote and said of why it failed."""

    def run(*arguments, types=None):
        monkeypatch.setattr(sys, "stdin", io.StringIO() if types is None else Terminal(types))
        out, err = io.StringIO(), io.StringIO()
        code = 0
        try:
            call_command(*arguments, stdout=out, stderr=err, no_color=True)
        except CommandError as error:
            code = error.returncode
            err.write(str(error))
        return code, out.getvalue() + err.getvalue()

    return run


def states():
    return dict(VirtualNumber.objects.values_list("number", "state"))


# Provisioning ---------------------------------------------------------------------------------------------------------


def test_it_shows_what_it_buys_and_what_that_costs_before_it_buys(rentals, run):
    rentals.offers = [offer("+447700900700", "1.25"), offer("+447700900701", "0.90")]
    said_before = []
    rentals.at_step = lambda name: name == "before buy" and said_before.append(True)

    code, output = run(*TWO, "--dry-run")

    assert code == ExitCode.DONE
    assert "+447700900700    EUR 1.25" in output
    assert "+447700900701    EUR 0.90" in output
    assert "Total: EUR 2.15 a month" in output
    assert "Nothing was bought: --dry-run." in output
    assert said_before == []
    assert not NumberOrder.objects.exists()


def test_it_says_so_where_the_carrier_does_not_tell_a_cost(rentals, run):
    rentals.offers = [offer("+447700900700", "1.25"), offer("+447700900701", None)]

    _, output = run(*TWO, "--dry-run")
    assert "+447700900701    unknown" in output
    assert "Total: EUR 1.25 a month, and 1 whose cost the carrier does not say" in output

    rentals.offers = [offer("+447700900701", None)]
    _, output = run(*TWO, "--dry-run")
    assert "Total: unknown: the carrier does not say" in output


def test_without_a_terminal_and_without_yes_it_refuses(rentals, run):
    code, output = run(*TWO)

    assert code == ExitCode.USAGE
    assert "Say --yes" in output
    assert rentals.account == {}
    assert not NumberOrder.objects.exists()


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "nyes\n"])
def test_any_answer_but_yes_buys_nothing(rentals, run, answer):
    code, output = run(*TWO, types=answer)

    assert code == ExitCode.USAGE
    assert "the answer was not yes" in output
    assert rentals.account == {}


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_a_yes_buys(rentals, run, answer):
    code, output = run(*TWO, types=answer)

    assert code == ExitCode.DONE
    assert "Buy 2? [y/N]" in output
    assert rentals.reaching_us() == set(rentals.account) == {"+447700900700", "+447700900701"}


def test_with_yes_it_asks_nobody_and_tells_each_step(rentals, run):
    code, output = run(*TWO, "--yes")

    assert code == ExitCode.DONE
    assert "+447700900700 bought\n+447700900700 its texts reach us\n" in output
    assert "2 of 2 numbers bought; their texts reach us." in output


def test_an_unfinished_order_is_gone_on_with_and_said_so(rentals, run):
    rentals.fail("buy", None, AccountFault("the account has no credit", code="9"))
    code, output = run(*TWO, "--yes")
    assert code == ExitCode.CARRIER
    assert "the account has no credit (code 9)" in output
    assert "run the same command again" in output

    code, output = run(*TWO, "--yes")

    assert code == ExitCode.DONE
    assert "which is not finished" in output
    assert "+447700900700    EUR 1.25   active" in output
    assert "+447700900701    EUR 1.25   perhaps bought, or else to buy" in output
    assert "Total: EUR 1.25 a month" in output
    assert len(rentals.account) == 2


def test_run_again_right_after_the_end_it_buys_nothing_and_says_how_to(rentals, run):
    run(*TWO, "--yes")

    code, output = run(*TWO, "--yes")
    assert code == ExitCode.DONE
    assert "has just ended" in output
    assert len(rentals.account) == 2

    run(*TWO, "--yes", "--again")
    assert len(rentals.account) == 4


def test_fewer_numbers_than_asked_for_is_an_exit_code_of_its_own(rentals, run):
    arguments = ["provision_numbers", "--country", "GB", "--count", "11"]

    code, output = run(*arguments, "--dry-run")
    assert code == ExitCode.FEWER
    code, output = run(*arguments, "--yes")

    assert code == ExitCode.FEWER
    assert "1 will be missing" in output
    assert "10 of 11 numbers bought" in output
    assert run("provision_numbers", "--country", "US", "--count", "1", "--yes")[0] == ExitCode.FEWER


def test_with_nothing_to_show_nothing_is_bought_even_if_something_comes_on_offer_meanwhile(rentals, run):
    rentals.offers = [offer("+447700900700")]
    rentals.fail("configure", AccountFault("the account has no credit", code="9"))
    run(*TWO, "--yes")

    def comes_on_offer(name):
        if name == "before configure":
            rentals.offers.append(offer("+447700900701", "500.00"))

    rentals.at_step = comes_on_offer
    code, output = run(*TWO, types="y\n")

    assert code == ExitCode.FEWER
    assert "1 of 2 will be missing" in output
    assert "Go on with it?" in output
    assert "1 of 2 numbers bought; what else the carrier has was not shown, or is dearer." in output
    assert rentals.bought == ["+447700900700"]

    _, output = run(*TWO, "--dry-run")
    assert "+447700900701    EUR 500.00" in output


def test_no_more_are_bought_than_it_asked_for_a_yes_to(rentals, run, monkeypatch):
    rentals.offers = [offer("+447700900700")]
    more = [offer("+447700900701"), offer("+447700900702")]
    original = PoolCommand.confirm

    def confirm(*args, **options):
        original(*args, **options)
        rentals.offers += more

    monkeypatch.setattr(PoolCommand, "confirm", confirm)
    code, output = run("provision_numbers", "--country", "GB", "--count", "3", types="y\n")

    assert code == ExitCode.FEWER
    assert "2 of 3 will be missing" in output
    assert "Buy 1? [y/N]" in output
    assert rentals.bought == ["+447700900700"]


def test_one_number_is_told_as_one(rentals, run):
    _, output = run("provision_numbers", "--country", "GB", "--count", "1", "--yes")
    assert "1 of 1 number bought" in output

    _, output = run("sync_numbers")
    assert "1 number is ours" in output


def test_bought_and_not_configured_is_an_exit_code_of_its_own_and_configuring_mends_it(rentals, run):
    rentals.fail("configure", Refused("the webhook does not answer"))

    code, output = run(*TWO, "--yes")
    assert code == ExitCode.NOT_CONFIGURED
    assert "bought, but its texts do not reach us yet: the webhook does not answer" in output
    assert "manage.py configure_numbers" in output

    code, output = run("configure_numbers")
    assert code == ExitCode.DONE
    assert states() == dict.fromkeys(rentals.account, "active")
    assert "Nothing to do" in run("configure_numbers")[1]


@pytest.mark.parametrize("fault", [TryLater("throttled", retry_after=900), OutcomeUnknown("no answer")])
def test_a_carrier_that_cannot_do_it_says_to_run_the_same_command_again(rentals, run, fault):
    rentals.fail("search", fault)

    code, output = run(*TWO, "--yes")

    assert code == ExitCode.CARRIER
    assert f"The carrier did not do it: {fault.detail}. Run the same command again" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--country", "XX", "--count", "2"], "expected the two letters of a country, such as GB, found 'XX'"),
        (["--country", "GBR", "--count", "2"], "found 'GBR'"),
        (["--country", "GB", "--count", "0"], "expected a whole number from 1 to 1000, found '0'"),
        (["--country", "GB", "--count", "1001"], "found '1001'"),
        (["--country", "GB", "--count", "9" * 5000], "from 1 to 1000"),
        (["--country", "GB", "--count", "two"], "found 'two'"),
        (["--country", "GB", "--count", "²"], "found '²'"),
        (["--country", "GB", "--count", "2", "--features", "FAX"], "expected one of SMS, VOICE, MMS, found 'FAX'"),
        (["--country", "GB", "--count", "2", "--features", "VOICE"], "expected SMS among them"),
        (["--country", "GB", "--count", "2", "--features", ""], "expected one of"),
        (["--country", "GB", "--count", "2", "--type", "satellite"], "expected one of mobile, landline, toll-free"),
        (["--country", "GB", "--count", "2", "--pattern", "77a"], "expected at most 15 digits"),
        (["--country", "GB", "--count", "2", "--pattern-place", "middle"], "expected one of start, anywhere, end"),
        (["--country", "GB", "--count", "2", "--max-monthly-cost", "1.505"], "expected an amount in EUR"),
        (["--country", "GB", "--count", "2", "--max-monthly-cost", "NaN"], "expected an amount in EUR"),
        (["--country", "GB", "--count", "2", "--max-monthly-cost", "-1"], "expected"),
        (["--count", "2"], "--country"),
        (["--country", "GB"], "--count"),
    ],
)
def test_wrong_arguments_exit_2_with_what_was_expected_and_found(rentals, monkeypatch, capsys, arguments, message):
    from numbers.management.commands.provision_numbers import Command

    with pytest.raises(SystemExit) as exit_:
        Command().run_from_argv(["manage.py", "provision_numbers", *arguments, "--skip-checks"])

    assert exit_.value.code == 2
    assert message in capsys.readouterr().err
    assert rentals.calls == []


def test_the_arguments_reach_the_search(rentals, run):
    code, _ = run(
        *["provision_numbers", "--country", "gb", "--count", "1", "--features", "sms", "--pattern", "705"],
        *["--pattern-place", "end", "--max-monthly-cost", "1.25", "--yes"],
    )

    assert code == ExitCode.DONE
    assert set(rentals.account) == {"+447700900705"}


def test_the_help_explains_every_exit_code():
    for code in ExitCode:
        assert f"{code:d} " in EPILOG


def test_search_lists_numbers_and_costs_and_buys_nothing(rentals, run):
    code, output = run("search_numbers", "--country", "GB", "--limit", "2")

    assert code == ExitCode.DONE
    assert "+447700900700    mobile     SMS            EUR 1.25" in output
    assert "+447700900702" not in output
    assert "--limit lists more" in output
    assert rentals.account == {}
    assert run("search_numbers", "--country", "US")[0] == ExitCode.FEWER


@pytest.mark.parametrize("fault", [AccountFault("no credit"), OutcomeUnknown("no answer")])
def test_a_search_that_fails_has_nothing_to_go_on_with(rentals, run, fault):
    rentals.fail("search", fault)

    code, output = run("search_numbers", "--country", "GB")

    assert code == ExitCode.CARRIER
    assert "search again." in output.lower()
    assert "where it stopped" not in output


# Configuring ----------------------------------------------------------------------------------------------------------


def test_all_numbers_can_be_pointed_at_a_new_public_url(rentals, run, settings):
    run(*TWO, "--yes")
    settings.PUBLIC_URL = "https://new.example.com"
    assert rentals.reaching_us() == set()

    code, _ = run("configure_numbers", "--all")

    assert code == ExitCode.DONE
    assert rentals.reaching_us() == set(rentals.account)
    assert set(VirtualNumber.objects.values_list("webhook_url", flat=True)) == {inbound_sms_url()}
    assert states() == dict.fromkeys(rentals.account, "active")
    assert "new.example.com" in VirtualNumber.objects.all()[0].events.all()[0].reason


def test_numbers_that_cannot_be_configured_are_counted(rentals, run):
    for each in add_numbers(2):
        each.move(NumberState.CONFIGURING, reason="test")

    code, output = run("configure_numbers")

    assert code == ExitCode.NOT_CONFIGURED
    assert "2 of 2 could not be configured" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["+447700900999"], "not in the pool: +447700900999"),
        (["+447700900500"], "is not ours, its state is retired"),
        (["+447700900501", "--all"], "found both"),
    ],
)
def test_configuring_what_is_not_ours_is_refused(rentals, run, arguments, message):
    add_numbers(2)
    VirtualNumber.objects.filter(number="+447700900500").update(state=NumberState.RETIRED)

    code, output = run("configure_numbers", *arguments)

    assert code == ExitCode.USAGE
    assert message in output
    assert rentals.calls == []


# Syncing --------------------------------------------------------------------------------------------------------------


def test_numbers_already_rented_are_brought_in(rentals, run):
    rentals.rent("+447700900700", inbound_sms_url())
    rentals.rent("+447700900701", "https://elsewhere.example.com")
    VirtualNumber.objects.create(number="+447700900702", country="GB", state=NumberState.RETIRED)
    rentals.rent("+447700900702")

    code, output = run("sync_numbers")

    assert code == ExitCode.DONE
    assert states() == {
        "+447700900700": "active",
        "+447700900701": "configuring",
        "+447700900702": "configuring",
    }
    assert "3 numbers are ours; 3 brought in." in output
    run("configure_numbers")
    assert rentals.reaching_us() == set(rentals.account)
    assert "no difference" in run("sync_numbers")[1]


def test_drift_is_told_and_not_mended(rentals, run):
    run("provision_numbers", "--country", "GB", "--count", "3", "--yes")
    cancelled, repointed, fine = sorted(rentals.account)
    del rentals.account[cancelled]
    rentals.rent(repointed, "https://elsewhere.example.com/sms")

    code, output = run("sync_numbers")

    assert code == ExitCode.DRIFT
    assert f"{cancelled}    cancelled at the carrier" in output
    assert f"{repointed}    pointed elsewhere: its texts go to https://elsewhere.example.com/sms" in output
    assert fine not in output
    assert states() == dict.fromkeys([cancelled, repointed, fine], "active")
    assert rentals.account[repointed] == "https://elsewhere.example.com/sms"
    # What it says to do, helps.
    run("configure_numbers", repointed)
    assert run("release_numbers", cancelled, "--yes")[0] == ExitCode.DONE
    assert run("sync_numbers")[0] == ExitCode.DONE


def test_purchases_and_configurations_in_doubt_are_settled(rentals, run):
    for index, state in enumerate([NumberState.ORDERED, NumberState.ORDERED, NumberState.CONFIGURING]):
        VirtualNumber.objects.create(number=f"+44770090070{index}", country="GB", state=state)
    rentals.rent("+447700900700")
    rentals.rent("+447700900702", inbound_sms_url())

    code, output = run("sync_numbers")

    assert code == ExitCode.DONE
    assert "2 settled" in output
    assert states() == {"+447700900700": "configuring", "+447700900701": "ordered", "+447700900702": "active"}


def test_a_number_of_a_stranger_who_once_texted_us_is_brought_in(rentals, run):
    RealNumber.objects.remember([ALICE])
    rentals.rent(ALICE)

    assert run("sync_numbers")[0] == ExitCode.DONE
    assert states() == {ALICE: "configuring"}


def test_the_number_of_a_participant_is_not_brought_in_and_not_shown(rentals, rented, run):
    talk(ALICE, BOB)
    rentals.rent(ALICE)

    code, output = run("sync_numbers")

    assert code == ExitCode.DRIFT
    assert "the number of a person" in output
    assert ALICE not in output
    assert set(states()) == set(rented)


# Releasing ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def rented(rentals):
    """Two active numbers of ours, as the carrier sees it too."""
    rows = add_numbers(2)
    for row in rows:
        rentals.rent(row.number, inbound_sms_url())
    return [row.number for row in rows]


def test_a_free_number_is_given_back(rentals, rented, run):
    code, output = run("release_numbers", rented[0], types="y\n")

    assert code == ExitCode.DONE
    assert f"{rented[0]} will be cancelled; its cost is unknown" in output
    assert set(rentals.account) == {rented[1]}
    assert states()[rented[0]] == "retired"
    assert "is released already" in run("release_numbers", rented[0], "--yes")[1]


def test_nothing_is_given_back_without_a_yes(rentals, rented, run):
    assert run("release_numbers", *rented)[0] == ExitCode.USAGE
    assert run("release_numbers", *rented, types="n\n")[0] == ExitCode.USAGE
    assert run("release_numbers", *rented, "--dry-run")[0] == ExitCode.DONE
    assert run("release_numbers", "+447700900999", "--yes")[0] == ExitCode.USAGE

    assert set(rentals.account) == set(rented)
    assert set(states().values()) == {"active"}


def test_a_number_that_serves_people_is_refused_with_how_many_and_until_when(rentals, rented, run, settings):
    conversation = talk(ALICE, BOB)
    used = set(proxies(conversation))

    code, output = run("release_numbers", *rented, "--yes")
    assert code == ExitCode.FEWER
    assert "it serves 1 person in open conversations" in output
    assert used <= set(rentals.account)

    conversation.close()
    code, output = run("release_numbers", *used, "--yes")
    until = timezone.now() + timedelta(seconds=settings.COOL_DOWN)
    assert code == ExitCode.FEWER
    assert f"1 of its pairs cools down until {until:%Y-%m-%d}" in output
    assert used <= set(rentals.account)
    assert set(states().values()) == {"active"}

    Participant.objects.update(release_at=timezone.now())
    sweep()
    assert run("release_numbers", *used, "--yes")[0] == ExitCode.DONE
    assert not used & set(rentals.account)


def test_a_number_that_serves_many_people_is_told_so(rentals, rented, run):
    talk(ALICE, BOB)
    Participant.objects.update(proxy_number=VirtualNumber.objects.get(number=rented[0]))

    assert "it serves 2 people in open conversations" in run("release_numbers", rented[0], "--yes")[1]


@pytest.mark.parametrize("state", [OutboundState.QUEUED, OutboundState.SENDING, OutboundState.UNKNOWN])
def test_a_number_with_texts_still_to_be_sent_is_refused_with_how_many(rentals, rented, run, state):
    number = VirtualNumber.objects.get(number=rented[0])
    person = RealNumber.objects.remember([ALICE])[ALICE]
    for each in (state, OutboundState.DELIVERED):
        OutboundMessage.objects.create(
            kind="notice", text="hello", segments=1, sender=number, recipient=person, state=each
        )

    code, output = run("release_numbers", rented[0], "--yes")
    assert code == ExitCode.FEWER
    assert "1 text is still to be sent from it" in output
    # The command asks first; the release itself asks too, and under its lock.
    with pytest.raises(CannotRelease, match="1 text is still to be sent"):
        release(number)
    assert states()[rented[0]] == "active"

    OutboundMessage.objects.update(state=OutboundState.SENT)
    assert run("release_numbers", rented[0], "--yes")[0] == ExitCode.DONE


@pytest.mark.parametrize("fault", [LOST, Refused("not ours")], ids=["lost reply", "refused"])
def test_a_cancellation_in_doubt_is_settled_by_listing(rentals, rented, run, fault):
    rentals.fail("cancel", fault)
    if fault is not LOST:
        del rentals.account[rented[0]]

    assert run("release_numbers", rented[0], "--yes")[0] == ExitCode.DONE
    assert states()[rented[0]] == "retired"


def test_a_cancellation_that_fails_leaves_the_number_draining_and_is_repeated(rentals, rented, run):
    rentals.fail("cancel", OutcomeUnknown("no answer"))

    code, _ = run("release_numbers", rented[0], "--yes")
    assert code == ExitCode.CARRIER
    assert states()[rented[0]] == "draining"

    assert run("release_numbers", rented[0], "--yes")[0] == ExitCode.DONE
    assert rented[0] not in rentals.account


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_number_is_not_released_under_a_conversation_that_is_just_being_created(rentals):
    """The creator has its row in, and has not committed yet: the release waits for it, and then refuses."""
    [number] = add_numbers(1)
    rentals.rent(number.number)
    outcome = []

    def release_it():
        try:
            release(VirtualNumber.objects.get())
        except CannotRelease as error:
            outcome.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=release_it)
    with transaction.atomic():
        person = RealNumber.objects.remember([ALICE])[ALICE]
        conversation = Conversation.objects.create()
        Participant.objects.create(conversation=conversation, position=0, real_number=person, proxy_number=number)
        # As conversations.creation does after its insert.
        assert VirtualNumber.objects.active().filter(pk=number.pk).exists()
        thread.start()
        time.sleep(0.5)
    thread.join(30)

    assert len(outcome) == 1
    assert number.number in rentals.account
    assert states() == {number.number: "active"}
