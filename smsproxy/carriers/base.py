"""The phone network behind one interface: verbs, value objects, and errors that say whether something happened.

Numbers are E.164 with `+` on this side (`"+447700900001"`); a carrier converts them at its own boundary. Money is EUR.
Durations are seconds.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class NumberType(StrEnum):
    MOBILE = "mobile"
    LANDLINE = "landline"
    TOLL_FREE = "toll-free"


class Feature(StrEnum):
    SMS = "SMS"
    VOICE = "VOICE"
    MMS = "MMS"


class PatternPosition(StrEnum):
    """Where in a number a search pattern must be found."""

    START = "start"
    ANYWHERE = "anywhere"
    END = "end"


@dataclass(frozen=True, kw_only=True)
class NumberQuery:
    """What numbers to look for.

    country: ISO 3166-1 alpha-2, upper case. pattern: digits only, counted with the country code.
    """

    country: str
    features: frozenset[Feature] = frozenset({Feature.SMS})
    type: NumberType | None = None
    pattern: str = ""
    pattern_place: PatternPosition = PatternPosition.ANYWHERE


@dataclass(frozen=True, kw_only=True)
class AvailableNumber:
    """A number for rent. monthly_cost: EUR a month, None where the carrier does not say."""

    number: str
    country: str
    type: NumberType | None
    features: frozenset[Feature]
    monthly_cost: Decimal | None


@dataclass(frozen=True, kw_only=True)
class RentedNumber:
    """A number that the account rents. webhook_url: where its inbound texts go, "" for nowhere of its own."""

    number: str
    country: str
    type: NumberType | None
    features: frozenset[Feature]
    webhook_url: str


class LookupVerdict(StrEnum):
    VALID = "valid"
    INVALID = "invalid"


@dataclass(frozen=True, kw_only=True)
class LookupResult:
    """What a carrier knows of a real number. country and line_type are "" where it does not say."""

    verdict: LookupVerdict
    country: str = ""
    line_type: str = ""


@dataclass(frozen=True, kw_only=True)
class OutgoingText:
    """A text to send. client_ref: our own id, at most 40 characters, echoed in the receipt."""

    sender: str
    recipient: str
    text: str
    client_ref: str


@dataclass(frozen=True, kw_only=True)
class SentPart:
    """One SMS of a text: its carrier id, or the carrier's code for why this part was refused. price: EUR."""

    carrier_message_id: str
    price: Decimal | None = None
    error_code: str = ""

    @property
    def accepted(self) -> bool:
        return not self.error_code


@dataclass(frozen=True, kw_only=True)
class SendReply:
    """The carrier took the text: at least one part was accepted, each will have its own delivery receipt."""

    parts: tuple[SentPart, ...]


@dataclass(frozen=True, kw_only=True)
class InboundText:
    """A text that somebody sent to one of our numbers, as the carrier's webhook told it.

    sender: E.164, or None where the sender is not a phone number (an alphanumeric id, say).
    part, parts, group: of a long message in several webhooks; part counts from 1, parts is 1 for a whole message.
    """

    carrier_message_id: str
    sender: str | None
    recipient: str
    text: str
    sent_at: datetime | None = None
    concat_ref: str = ""
    part: int = 1
    parts: int = 1


class ReceiptStatus(StrEnum):
    """What became of one part, in the order of certainty: a higher rank is never overwritten by a lower one."""

    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"

    @property
    def rank(self) -> int:
        return {"unknown": 0, "accepted": 1}.get(self.value, 2)

    @property
    def is_final(self) -> bool:
        return self.rank == 2


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What the carrier later says of one part. client_ref is "" where the carrier did not echo it.

    network: the person's, MCC and MNC such as "23410"; "" where the carrier does not say.
    """

    carrier_message_id: str
    client_ref: str
    status: ReceiptStatus
    error_code: str = ""
    network: str = ""


class CarrierError(Exception):
    """A call to the carrier did not do what was asked.

    The class says whether it happened (`CarrierRejected`: no, `OutcomeUnknown`: nobody knows), and what is at fault. `code` is the carrier's own code. The text names neither numbers nor texts nor credentials.
    """

    def __init__(self, detail: str, *, code: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


class OutcomeUnknown(CarrierError):
    """We never heard back, or could not read the answer: it may have happened. Never repeat it blindly."""


class CarrierRejected(CarrierError):
    """It certainly did not happen."""


class FaultScope(StrEnum):
    """What it is best to wait with."""

    MESSAGE = "message"
    NUMBER = "number"
    """All texts from the same virtual number."""
    ACCOUNT = "account"
    """All texts."""
    WORKER = "worker"
    """All that this process would send: it does not reach the carrier. Others may."""


class TemporaryFailure(CarrierRejected):
    """A passing fault: throttled, busy, unreachable. retry_after: seconds that the carrier asks for, if it says."""

    def __init__(
        self, detail: str, *, code: str = "", retry_after: float | None = None, scope: FaultScope = FaultScope.MESSAGE
    ) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after
        self.scope = scope


class PermanentFailure(CarrierRejected):
    """Permanent for this request: the recipient, the text or the number asked for. Repeating it is pointless."""


class SenderFault(CarrierRejected):
    """The sender number may not do this. Other numbers may."""


class AccountFault(CarrierRejected):
    """The whole account is at fault: credentials, credit, permissions, our configuration. Nothing will work."""


class Carrier(ABC):
    """A phone network. Every verb raises CarrierError, and nothing else, when it fails; every verb has a timeout."""

    name: str

    @abstractmethod
    def search(self, query: NumberQuery) -> Iterator[AvailableNumber]:
        """Numbers for rent, all pages, fetched as they are consumed."""

    @abstractmethod
    def buy(self, number: str, country: str) -> None:
        """Rent a number. Refused: it is gone, or is ours already; `owned` tells which."""

    @abstractmethod
    def configure(self, number: str, country: str, webhook_url: str) -> None:
        """Point the number's inbound texts at webhook_url, which must already answer an empty GET with 200."""

    @abstractmethod
    def owned(self, number: str = "") -> Iterator[RentedNumber]:
        """The numbers that the account rents, all pages; with `number`, that one or none."""

    @abstractmethod
    def cancel(self, number: str, country: str) -> None:
        """Stop renting a number."""

    @abstractmethod
    def look_up(self, number: str, country: str) -> LookupResult:
        """Ask the carrier's lookup service, as the setting LOOKUP chooses, about a real number."""

    @abstractmethod
    def send(self, text: OutgoingText) -> SendReply:
        """Send one text, once. Refused even in part only if no part was accepted."""
