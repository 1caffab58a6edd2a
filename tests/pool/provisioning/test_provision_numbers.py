"""`manage.py search_numbers` and `provision_numbers`, run by an operator and by a script."""

import pytest

from numbers.management.exit_codes import EPILOG, ExitCode
from numbers.management.pool_command import PoolCommand
from numbers.models import NumberOrder, Pool, VirtualNumber
from smsproxy.carriers.base import AccountFault, OutcomeUnknown, PermanentFailure, TemporaryFailure
from tests.support.fake_rental_carrier import offer
from tests.support.terminal import TWO, states

pytestmark = pytest.mark.django_db


def test_the_numbers_and_their_cost_are_shown_before_the_purchase(rentals, run):
    rentals.offers = [offer("+447700900700", "1.25"), offer("+447700900701", "0.90")]
    purchases = []
    rentals.at_step = lambda name: name == "before buy" and purchases.append(True)

    code, output = run(*TWO, "--dry-run")

    assert code == ExitCode.DONE
    assert "+447700900700    EUR 1.25" in output
    assert "+447700900701    EUR 0.90" in output
    assert "Total: EUR 2.15 a month" in output
    assert "Nothing was bought: --dry-run." in output
    assert purchases == []
    assert not NumberOrder.objects.exists()


def test_an_unknown_cost_is_shown_as_unknown(rentals, run):
    rentals.offers = [offer("+447700900700", "1.25"), offer("+447700900701", None)]

    _, output = run(*TWO, "--dry-run")
    assert "+447700900701    unknown" in output
    assert "Total: EUR 1.25 a month, and 1 whose cost the carrier does not say" in output

    rentals.offers = [offer("+447700900701", None)]
    _, output = run(*TWO, "--dry-run")
    assert "Total: unknown: the carrier does not say" in output


def test_a_run_without_a_terminal_requires_yes(rentals, run):
    code, output = run(*TWO)

    assert code == ExitCode.USAGE
    assert "Add --yes" in output
    assert rentals.account == {}
    assert not NumberOrder.objects.exists()


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "nyes\n"])
def test_any_answer_but_yes_buys_nothing(rentals, run, answer):
    code, output = run(*TWO, types=answer)

    assert code == ExitCode.USAGE
    assert "the answer was not yes" in output
    assert rentals.account == {}


@pytest.mark.parametrize("answer", ["y\n", "Yes\n"])
def test_the_answer_yes_buys(rentals, run, answer):
    code, output = run(*TWO, types=answer)

    assert code == ExitCode.DONE
    assert "Buy 2? [y/N]" in output
    assert rentals.reaching_us() == set(rentals.account) == {"+447700900700", "+447700900701"}


def test_the_yes_option_skips_the_question_and_prints_each_step(rentals, run):
    code, output = run(*TWO, "--yes")

    assert code == ExitCode.DONE
    assert "+447700900700 bought\n+447700900700 its messages reach us\n" in output
    assert "2 of 2 numbers bought; their messages reach us." in output


def test_an_unfinished_order_is_resumed_and_the_output_says_so(rentals, run):
    rentals.fail("buy", None, AccountFault("the account has no credit", code="9"))
    code, output = run(*TWO, "--yes")
    assert code == ExitCode.CARRIER
    assert "the account has no credit (code 9)" in output
    assert "run the same command again" in output

    code, output = run(*TWO, "--yes")

    assert code == ExitCode.DONE
    assert "which is not finished" in output
    assert "+447700900700    EUR 1.25   active" in output
    assert "+447700900701    EUR 1.25   perhaps bought, otherwise to buy" in output
    assert "Total: EUR 1.25 a month" in output
    assert len(rentals.account) == 2


def test_a_repeated_run_right_after_the_end_buys_nothing_without_again(rentals, run):
    run(*TWO, "--yes")

    code, output = run(*TWO, "--yes")
    assert code == ExitCode.DONE
    assert "has just ended" in output
    assert len(rentals.account) == 2

    run(*TWO, "--yes", "--again")
    assert len(rentals.account) == 4


def test_fewer_numbers_than_requested_has_its_own_exit_code(rentals, run):
    arguments = ["provision_numbers", "--country", "GB", "--count", "11"]

    code, output = run(*arguments, "--dry-run")
    assert code == ExitCode.PARTIAL
    code, output = run(*arguments, "--yes")

    assert code == ExitCode.PARTIAL
    assert "1 will be missing" in output
    assert "10 of 11 numbers bought" in output
    assert run("provision_numbers", "--country", "US", "--count", "1", "--yes")[0] == ExitCode.PARTIAL


def test_a_number_offered_after_the_question_is_not_bought(rentals, run):
    rentals.offers = [offer("+447700900700")]
    rentals.fail("configure", AccountFault("the account has no credit", code="9"))
    run(*TWO, "--yes")

    def offer_another(name):
        if name == "before configure":
            rentals.offers.append(offer("+447700900701", "500.00"))

    rentals.at_step = offer_another
    code, output = run(*TWO, types="y\n")

    assert code == ExitCode.PARTIAL
    assert "1 of 2 will be missing" in output
    assert "Resume this order?" in output
    assert "1 of 2 numbers bought; the carrier's other numbers were not shown, or cost more." in output
    assert rentals.bought == ["+447700900700"]

    _, output = run(*TWO, "--dry-run")
    assert "+447700900701    EUR 500.00" in output


def test_no_more_numbers_are_bought_than_confirmed(rentals, run, monkeypatch):
    rentals.offers = [offer("+447700900700")]
    more = [offer("+447700900701"), offer("+447700900702")]
    original = PoolCommand.confirm

    def confirm(*args, **options):
        original(*args, **options)
        rentals.offers += more

    monkeypatch.setattr(PoolCommand, "confirm", confirm)
    code, output = run("provision_numbers", "--country", "GB", "--count", "3", types="y\n")

    assert code == ExitCode.PARTIAL
    assert "2 of 3 will be missing" in output
    assert "Buy 1? [y/N]" in output
    assert rentals.bought == ["+447700900700"]


def test_one_number_is_reported_in_the_singular(rentals, run):
    _, output = run("provision_numbers", "--country", "GB", "--count", "1", "--yes")
    assert "1 of 1 number bought" in output

    _, output = run("sync_numbers")
    assert "1 number is ours" in output


def test_an_unconfigured_purchase_has_its_own_exit_code_and_configure_numbers_fixes_it(rentals, run):
    rentals.fail("configure", PermanentFailure("the webhook does not answer"))

    code, output = run(*TWO, "--yes")
    assert code == ExitCode.NOT_CONFIGURED
    assert "bought, but its messages do not reach us yet: the webhook does not answer" in output
    assert "manage.py configure_numbers" in output

    code, output = run("configure_numbers")
    assert code == ExitCode.DONE
    assert states() == dict.fromkeys(rentals.account, "active")
    assert "Nothing to do" in run("configure_numbers")[1]


@pytest.mark.parametrize("fault", [TemporaryFailure("throttled", retry_after=900), OutcomeUnknown("no answer")])
def test_a_carrier_failure_advises_to_run_the_same_command_again(rentals, run, fault):
    rentals.fail("search", fault)

    code, output = run(*TWO, "--yes")

    assert code == ExitCode.CARRIER
    assert f"The carrier request failed: {fault.detail}. Run the same command again" in output


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
        (["--country", "GB", "--count", "2", "--features", "VOICE"], "expected SMS among the features"),
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
def test_an_invalid_argument_exits_2_with_what_was_expected_and_found(rentals, monkeypatch, capsys, arguments, message):
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
    assert "raise --limit to list more" in output
    assert rentals.account == {}
    assert run("search_numbers", "--country", "US")[0] == ExitCode.PARTIAL


@pytest.mark.parametrize("fault", [AccountFault("no credit"), OutcomeUnknown("no answer")])
def test_a_failed_search_advises_to_search_again(rentals, run, fault):
    rentals.fail("search", fault)

    code, output = run("search_numbers", "--country", "GB")

    assert code == ExitCode.CARRIER
    assert "search again." in output.lower()
    assert "where it stopped" not in output


def test_numbers_are_added_to_the_named_pool(rentals, run):
    Pool.objects.create(name="berlin")

    code, output = run(*TWO, "--pool", "berlin", "--yes")

    assert code == 0
    assert "To buy: 2 of the 2 requested, for the pool berlin, with the monthly cost:" in output
    assert set(VirtualNumber.objects.values_list("pool__name", "state")) == {("berlin", "active")}


def test_the_same_order_for_another_pool_is_a_new_request(rentals, run):
    Pool.objects.create(name="berlin")
    run(*TWO, "--pool", "berlin", "--yes")

    run(*TWO, "--yes")
    run(*TWO, "--pool", "berlin", "--yes")

    assert VirtualNumber.objects.filter(pool=None).count() == 2
    assert len(rentals.account) == 4


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (["berlin", "paris"], "expected one of the pools berlin, paris (omit it for the common pool), found 'rome'"),
        ([], "expected the name of a pool, but no pool exists yet (omit it for the common pool), found 'rome'"),
    ],
)
def test_an_unknown_pool_is_rejected_with_the_known_ones(rentals, run, names, known):
    for name in names:
        Pool.objects.create(name=name)

    _, output = run(*TWO, "--pool", "rome", "--yes")

    assert known in output
    assert rentals.calls == []
