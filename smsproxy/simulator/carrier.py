"""The simulated carrier: it rents out numbers, delivers messages to simulated phones, and fails on request.

Its state is in the database (smsproxy/simulator/models.py). Its inventory is computed and always the same.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal

import phonenumbers
from django.db import DatabaseError, IntegrityError, models, transaction
from django.utils import timezone

from smsproxy.carriers.base import (
    AccountFault,
    AvailableNumber,
    Balance,
    CarrierError,
    FaultScope,
    Feature,
    LookupResult,
    LookupVerdict,
    NumberQuery,
    NumberType,
    OutcomeUnknown,
    OutgoingText,
    PatternPosition,
    PermanentFailure,
    Receipt,
    ReceiptStatus,
    RentedNumber,
    SenderFault,
    SendReply,
    SentPage,
    SentPart,
    SentRecord,
    TemporaryFailure,
)
from smsproxy.carriers.gsm7 import segments
from smsproxy.carriers.vonage.signed_webhooks import VonageWebhooks
from smsproxy.phone import country_of
from smsproxy.simulator import network
from smsproxy.simulator.models import (
    DELAY,
    Direction,
    FaultKind,
    SimulatedFault,
    SimulatedHandset,
    SimulatedNumber,
    SimulatedText,
    Verb,
)

log = logging.getLogger(__name__)

PRICE = Decimal("0.04")  # EUR a part
CREDIT = Decimal("100.00")  # EUR, which never run out
_NOT_FOR_RENT = "420"  # Vonage's code for a number that another account rents, or none
# Countries with numbers reserved for fiction, and the digits before the last two.
_FICTIONAL = {"GB": "+4477009001", "US": "+121255501"}
# One network per country. Countries without an entry share one of country code 001, which is for tests.
_NETWORKS = {"GB": "23410", "US": "310410"}
_TEST_NETWORK = "00101"


class SimulatorCarrier(VonageWebhooks):
    """The simulated network. Its webhooks are signed and spelled like those of Vonage."""

    name = "simulator"

    def search(self, query: NumberQuery) -> Iterator[AvailableNumber]:
        with _call(Verb.SEARCH):
            rented = set(SimulatedNumber.objects.filter(country=query.country).values_list("number", flat=True))
            found = [n for n in _inventory(query.country) if n.number not in rented and _matches(n, query)]
        yield from found

    def buy(self, number: str, country: str) -> None:
        with _call(Verb.BUY):
            offer = next((offer for offer in _inventory(country) if offer.number == number), None)
            if offer is None:
                raise PermanentFailure("the number is not for rent", code=_NOT_FOR_RENT)
            try:
                with transaction.atomic():
                    SimulatedNumber.objects.create(
                        number=number,
                        country=country,
                        type=offer.type or "",
                        features=",".join(sorted(offer.features)),
                        monthly_cost=offer.monthly_cost or Decimal(0),
                    )
            except IntegrityError:
                raise PermanentFailure("the number is already rented", code=_NOT_FOR_RENT) from None

    def configure(self, number: str, country: str, webhook_url: str) -> None:
        with _call(Verb.CONFIGURE):
            if not _rented(number, country).update(webhook_url=webhook_url):
                raise PermanentFailure("the account does not rent this number", code=_NOT_FOR_RENT)

    def owned(self, number: str = "") -> Iterator[RentedNumber]:
        with _call(Verb.OWNED):
            rows = list(SimulatedNumber.objects.filter(**{"number": number} if number else {}))
        for row in rows:
            yield RentedNumber(
                number=row.number,
                country=row.country,
                type=NumberType(row.type),
                features=frozenset(Feature(name) for name in row.features.split(",") if name),
                webhook_url=row.webhook_url,
            )

    def cancel(self, number: str, country: str) -> None:
        with _call(Verb.CANCEL):
            if not _rented(number, country).delete()[0]:
                raise PermanentFailure("the account does not rent this number", code=_NOT_FOR_RENT)

    def look_up(self, number: str, country: str) -> LookupResult:
        """Return VALID for every number, except INVALID for those that end in 0000."""
        with _call(Verb.LOOK_UP):
            if number.endswith("0000"):
                return LookupResult(verdict=LookupVerdict.INVALID)
            return LookupResult(verdict=LookupVerdict.VALID, country=country, line_type="mobile")

    def balance(self) -> Balance:
        with _call(Verb.OWNED):  # It fails like the other question about the account.
            return Balance(euros=CREDIT, refills_itself=True)

    def send(self, text: OutgoingText) -> SendReply:
        with _call(Verb.SEND) as fault:
            network.post_due()
            if not SimulatedNumber.objects.filter(number=text.sender, features__contains=Feature.SMS).exists():
                raise SenderFault("the sender is not a rented number with the feature SMS", code="15")
            ids = _part_ids(network.new_message_id(), text.text)
            if fault != FaultKind.UNDELIVERED:
                SimulatedHandset.objects.get_or_create_handset(text.recipient).texts.create(
                    direction=Direction.TO_HANDSET,
                    virtual_number=text.sender,
                    text=text.text,
                    carrier_message_id=ids[0],
                    client_ref=text.client_ref,
                    fault=fault or "",
                    created_at=timezone.now() + (DELAY if fault == FaultKind.DELAYED else timedelta(0)),
                )
            for message_id in ids:
                _post_receipts(text, message_id, fault)
        return SendReply(parts=tuple(SentPart(carrier_message_id=message_id, price=PRICE) for message_id in ids))

    def sent_between(self, start: datetime, end: datetime, cursor: str = "") -> SentPage:
        """Return the messages on the simulated phones, which are all delivered, as one page."""
        arrived = SimulatedText.objects.filter(
            direction=Direction.TO_HANDSET, created_at__gte=start, created_at__lt=end
        )
        try:
            records = tuple(
                SentRecord(
                    carrier_message_id=part_id,
                    client_ref=text.client_ref,
                    status=ReceiptStatus.DELIVERED,
                    price=PRICE,
                )
                for text in arrived
                for part_id in _part_ids(text.carrier_message_id, text.text)
            )
        except DatabaseError as error:
            raise TemporaryFailure(f"the simulator's own database failed ({type(error).__name__})") from None
        return SentPage(records=records)


def _part_ids(first: str, text: str) -> list[str]:
    """Return the ids of the parts of a message, which follow from the first."""
    return [first, *(f"{first}-{part}" for part in range(2, segments(text).count + 1))]


@contextmanager
def _call(verb: Verb) -> Iterator[FaultKind | None]:
    """Run a call over the simulated network. A stored fault makes it fail before or after it takes effect."""
    try:
        fault = SimulatedFault.objects.take(verb)
        if fault and (failure := _failure(fault)):
            raise failure
        yield fault
    except DatabaseError as error:
        raise OutcomeUnknown(f"the simulator's own database failed ({type(error).__name__})") from None
    if fault in (FaultKind.LOST_REPLY, FaultKind.SILENCE):
        raise OutcomeUnknown("the reply was lost, by a simulated fault")


def _failure(fault: FaultKind) -> CarrierError | None:
    """Return the error of a call that this fault stops before it takes effect."""
    match fault:
        case FaultKind.THROTTLED:
            return TemporaryFailure(
                "throttled, by a simulated fault", code="1", retry_after=1.0, scope=FaultScope.NUMBER
            )
        case FaultKind.UNREACHABLE:
            return TemporaryFailure("unreachable, by a simulated fault", scope=FaultScope.WORKER)
        case FaultKind.REFUSED:
            return PermanentFailure("refused, by a simulated fault", code="6")
        case FaultKind.SENDER_FAULT:
            return SenderFault("the sender is refused, by a simulated fault", code="15")
        case FaultKind.ACCOUNT_FAULT:
            return AccountFault("the account is refused, by a simulated fault", code="9")
        case FaultKind.LOST_REQUEST:
            return OutcomeUnknown("the request was lost, by a simulated fault")
        case _:
            return None


def _post_receipts(text: OutgoingText, message_id: str, fault: FaultKind | None) -> None:
    """Post the receipts of one part. They arrive early: before our own record that the message was sent."""
    if fault in (FaultKind.SILENCE, FaultKind.NO_RECEIPT):
        return
    is_given_up = fault == FaultKind.UNDELIVERED
    receipt = Receipt(
        carrier_message_id=message_id,
        client_ref=text.client_ref,
        status=ReceiptStatus.UNDELIVERED if is_given_up else ReceiptStatus.DELIVERED,
        error_code="1" if is_given_up else "",
        network=_NETWORKS.get(country_of(text.recipient), _TEST_NETWORK),
    )
    if fault == FaultKind.DELAYED:
        network.pass_receipt_later(receipt, sender=text.sender, recipient=text.recipient)
        return
    for _ in range(2 if fault == FaultKind.DUPLICATE_RECEIPT else 1):
        try:
            network.pass_receipt(receipt, sender=text.sender, recipient=text.recipient)
        except network.WebhookNotDelivered as error:
            # The message is delivered nevertheless.
            log.warning("a simulated receipt was lost: %s", error)


def _rented(number: str, country: str) -> "models.QuerySet[SimulatedNumber]":
    return SimulatedNumber.objects.filter(number=number, country=country)


def _inventory(country: str) -> Iterator[AvailableNumber]:
    """Yield a hundred numbers of this country, most of them mobile. Yield none if no example number is known."""
    start = _FICTIONAL.get(country) or _example(country)
    for index in range(100 if start else 0):
        number_type, features = _kind(index)
        yield AvailableNumber(
            number=f"{start}{index:02}",
            country=country,
            type=number_type,
            features=features,
            monthly_cost=Decimal("0.90") + Decimal("0.15") * (index % 5),
        )


def _kind(index: int) -> tuple[NumberType, frozenset[Feature]]:
    if index < 80:
        return NumberType.MOBILE, frozenset({Feature.SMS, Feature.VOICE} if index % 2 else {Feature.SMS})
    if index < 95:
        return NumberType.LANDLINE, frozenset({Feature.VOICE})
    return NumberType.TOLL_FREE, frozenset({Feature.VOICE, Feature.SMS})


def _example(country: str) -> str:
    """Return an example mobile number of the country without its last two digits, "" if none is known."""
    with suppress(KeyError):
        example = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
        if example is not None:
            return phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)[:-2]
    return ""


def _matches(offer: AvailableNumber, query: NumberQuery) -> bool:
    digits = offer.number.removeprefix("+")
    found = {
        PatternPosition.START: digits.startswith,
        PatternPosition.ANYWHERE: digits.__contains__,
        PatternPosition.END: digits.endswith,
    }[query.pattern_place](query.pattern)
    return found and query.features <= offer.features and query.type in (None, offer.type)
