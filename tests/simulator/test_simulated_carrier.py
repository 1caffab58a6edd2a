"""The simulated carrier: its numbers, its texts, and every fault that it can simulate."""

import subprocess
import sys
import threading

import pytest
from django.db import connection

from conversations.models import DeliveryReceipt
from smsproxy.carriers.base import (
    AccountFault,
    Feature,
    LookupVerdict,
    NumberQuery,
    NumberType,
    OutcomeUnknown,
    PatternPosition,
    PermanentFailure,
    SenderFault,
    TemporaryFailure,
)
from smsproxy.phone import country_of, parse_e164
from smsproxy.simulator.carrier import SimulatorCarrier
from smsproxy.simulator.models import (
    POSSIBLE_FAULTS,
    FaultKind,
    SimulatedFault,
    SimulatedNumber,
    SimulatedText,
    Verb,
)
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE
from tests.support.simulated import OURS, arrived, fault, text

# The simulator calls webhooks within the process. Like any request, each call closes the database connection.
pytestmark = pytest.mark.django_db(transaction=True)

ERRORS = {
    FaultKind.THROTTLED: TemporaryFailure,
    FaultKind.UNREACHABLE: TemporaryFailure,
    FaultKind.REFUSED: PermanentFailure,
    FaultKind.SENDER_FAULT: SenderFault,
    FaultKind.ACCOUNT_FAULT: AccountFault,
    FaultKind.LOST_REQUEST: OutcomeUnknown,
    FaultKind.LOST_REPLY: OutcomeUnknown,
}


@pytest.mark.parametrize("country", ["GB", "US", "CA", "DE", "FR", "IN"])
def test_every_country_offers_its_own_numbers(country):
    found = list(SimulatorCarrier().search(NumberQuery(country=country)))
    assert len({offer.number for offer in found}) == len(found) > 50
    for offer in found:
        assert parse_e164(offer.number) == offer.number
        assert country_of(offer.number) == country
        assert Feature.SMS in offer.features
        assert offer.monthly_cost is not None


def test_an_unknown_country_offers_no_numbers():
    assert list(SimulatorCarrier().search(NumberQuery(country="XX"))) == []


def test_a_search_applies_every_filter():
    carrier = SimulatorCarrier()

    def search(**criteria):
        return list(carrier.search(NumberQuery(country="GB", **criteria)))

    assert {offer.type for offer in search(type=NumberType.TOLL_FREE)} == {NumberType.TOLL_FREE}
    assert all(Feature.VOICE in offer.features for offer in search(features=frozenset({Feature.SMS, Feature.VOICE})))
    assert search(features=frozenset({Feature.MMS})) == []
    assert [o.number for o in search(pattern="07", pattern_place=PatternPosition.END)] == ["+447700900107"]
    assert search(pattern="07", pattern_place=PatternPosition.START) == []
    assert len(search(pattern="4477", pattern_place=PatternPosition.START)) == len(search())


def test_a_number_is_bought_once(network):
    with pytest.raises(PermanentFailure) as refusal:
        network.buy(OURS, "GB")
    assert refusal.value.code == "420"
    assert OURS not in {offer.number for offer in network.search(NumberQuery(country="GB"))}
    assert [(own.number, own.webhook_url) for own in network.owned(OURS)] == [(OURS, inbound_sms_url())]


@pytest.mark.parametrize(("number", "country"), [("+447700900001", "GB"), (OURS, "DE")])
def test_a_number_that_is_not_for_rent_is_rejected(number, country):
    with pytest.raises(PermanentFailure):
        SimulatorCarrier().buy(number, country)


def test_a_cancelled_number_is_for_rent_again(network):
    network.cancel(OURS, "GB")
    assert list(network.owned()) == []
    assert OURS in {offer.number for offer in network.search(NumberQuery(country="GB"))}
    for verb in (network.cancel, lambda *who: network.configure(*who, "https://sms.example.com/")):
        with pytest.raises(PermanentFailure):
            verb(OURS, "GB")


def test_a_lookup_says_whether_a_number_is_valid():
    carrier = SimulatorCarrier()
    assert carrier.look_up(ALICE, "GB").verdict == LookupVerdict.VALID
    assert carrier.look_up("+447700910000", "GB").verdict == LookupVerdict.INVALID


def test_a_text_arrives_and_each_part_has_its_receipt(network):
    reply = network.send(text(text="x" * 161))
    assert len(reply.parts) == 2
    assert arrived(ALICE) == ["x" * 161]
    receipts = DeliveryReceipt.objects.all()
    assert {receipt.carrier_message_id for receipt in receipts} == {part.carrier_message_id for part in reply.parts}
    assert {(receipt.status, receipt.client_ref) for receipt in receipts} == {("delivered", "ref-1")}


@pytest.mark.parametrize(
    ("person", "name"), [(ALICE, "23410"), ("+12125550101", "310410"), ("+4915123456789", "00101")]
)
def test_a_receipt_names_the_network_of_the_person(network, person, name):
    network.send(text(recipient=person))
    assert DeliveryReceipt.objects.get().network == name


def test_a_sender_that_is_not_rented_is_at_fault(network):
    with pytest.raises(SenderFault):
        network.send(text(sender="+447700900101"))
    assert not SimulatedText.objects.exists()


def test_numbers_and_texts_are_encrypted(network):
    network.send(text(text="the secret"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM simulator_simulatedhandset")
        assert ALICE[1:] not in str(cursor.fetchall())
        cursor.execute("SELECT text FROM simulator_simulatedtext")
        assert "secret" not in str(cursor.fetchall())


def calls(carrier):
    return {
        Verb.SEARCH: lambda: list(carrier.search(NumberQuery(country="GB"))),
        Verb.BUY: lambda: carrier.buy("+447700900101", "GB"),
        Verb.CONFIGURE: lambda: carrier.configure(OURS, "GB", "https://sms.example.com/elsewhere"),
        Verb.OWNED: lambda: list(carrier.owned()),
        Verb.CANCEL: lambda: carrier.cancel(OURS, "GB"),
        Verb.LOOK_UP: lambda: carrier.look_up(ALICE, "GB"),
        Verb.SEND: lambda: carrier.send(text()),
    }


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("verb", [verb for verb in Verb if verb != Verb.RECEIVE])
def test_every_verb_fails_in_every_way_and_then_works(network, verb, kind):
    fault(verb, kind)
    with pytest.raises(ERRORS[kind]) as error:
        calls(network)[verb]()
    assert type(error.value) is ERRORS[kind]
    if kind == FaultKind.THROTTLED:
        assert isinstance(error.value, TemporaryFailure)
        assert error.value.retry_after
    # A call whose reply was lost has taken effect, and not every call can take effect twice.
    if not (kind == FaultKind.LOST_REPLY and verb in (Verb.BUY, Verb.CANCEL)):
        calls(network)[verb]()


def test_every_kind_of_fault_is_tested():
    assert set().union(*POSSIBLE_FAULTS.values()) == set(FaultKind)
    assert POSSIBLE_FAULTS[Verb.BUY] == set(ERRORS)


@pytest.mark.parametrize(("kind", "happened"), [(FaultKind.LOST_REQUEST, False), (FaultKind.LOST_REPLY, True)])
def test_a_call_with_an_unknown_outcome_may_have_taken_effect(network, kind, happened):
    fault(Verb.BUY, kind)
    fault(Verb.SEND, kind)
    with pytest.raises(OutcomeUnknown):
        network.buy("+447700900101", "GB")
    with pytest.raises(OutcomeUnknown):
        network.send(text())
    assert SimulatedNumber.objects.filter(number="+447700900101").exists() is happened
    assert arrived(ALICE) == (["Hello"] if happened else [])
    assert DeliveryReceipt.objects.exists() is happened


def test_a_silenced_text_arrives_without_a_reply_or_a_receipt(network):
    fault(Verb.SEND, FaultKind.SILENCE)
    with pytest.raises(OutcomeUnknown):
        network.send(text())
    assert arrived(ALICE) == ["Hello"]
    assert not DeliveryReceipt.objects.exists()


def test_an_undelivered_text_has_a_receipt_that_says_so(network):
    fault(Verb.SEND, FaultKind.UNDELIVERED)
    network.send(text())
    assert arrived(ALICE) == []
    assert DeliveryReceipt.objects.get().status == "undelivered"


def test_a_text_can_arrive_without_a_receipt(network):
    fault(Verb.SEND, FaultKind.NO_RECEIPT)
    network.send(text())
    assert arrived(ALICE) == ["Hello"]
    assert not DeliveryReceipt.objects.exists()


def test_faults_apply_in_order_and_run_out():
    fault(Verb.SEND, FaultKind.REFUSED, times=2)
    fault(Verb.SEND, FaultKind.THROTTLED)
    fault(Verb.BUY, FaultKind.REFUSED)
    taken = [SimulatedFault.objects.take(Verb.SEND) for _ in range(4)]
    assert taken == [FaultKind.REFUSED, FaultKind.REFUSED, FaultKind.THROTTLED, None]


def test_threads_share_the_remaining_faults():
    fault(Verb.SEND, FaultKind.REFUSED, times=5)
    taken = []

    def take():
        taken.extend(SimulatedFault.objects.take(Verb.SEND) for _ in range(4))
        connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=str) == [None] * 11 + [FaultKind.REFUSED] * 5
    assert SimulatedFault.objects.get().remaining == 0


@pytest.mark.slow
def test_another_process_sees_the_same_network():
    SimulatorCarrier().buy(OURS, "GB")
    name = connection.settings_dict["NAME"]
    program = f"""
import django
from django.conf import settings
settings.DATABASES["default"]["NAME"] = {str(name)!r}
django.setup()
from smsproxy.simulator.carrier import SimulatorCarrier
print([own.number for own in SimulatorCarrier().owned()])
SimulatorCarrier().buy("+447700900101", "GB")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert OURS in done.stdout
    assert {own.number for own in SimulatorCarrier().owned()} == {OURS, "+447700900101"}
