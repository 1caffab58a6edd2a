"""The carrier interface: verbs, value objects, and errors that say whether something happened.

Numbers are E.164 with `+` (`"+447700900001"`), and each carrier converts them at its own boundary. Money is EUR.
Durations are seconds.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, ClassVar

from smsproxy.carriers.counted import CALLS, counted


class NumberType(StrEnum):
    MOBILE = "mobile"
    LANDLINE = "landline"
    TOLL_FREE = "toll-free"


class Feature(StrEnum):
    SMS = "SMS"
    VOICE = "VOICE"
    MMS = "MMS"


class PatternPosition(StrEnum):
    """The part of a number where a search pattern must match."""

    START = "start"
    ANYWHERE = "anywhere"
    END = "end"


@dataclass(frozen=True, kw_only=True)
class NumberQuery:
    """Criteria for a search of numbers for rent.

    country: ISO 3166-1 alpha-2, upper case. pattern: digits, matched against the number with its country code.
    """

    country: str
    features: frozenset[Feature] = frozenset({Feature.SMS})
    type: NumberType | None = None
    pattern: str = ""
    pattern_place: PatternPosition = PatternPosition.ANYWHERE


@dataclass(frozen=True, kw_only=True)
class AvailableNumber:
    """A number for rent. monthly_cost: EUR a month, None if the carrier does not state it."""

    number: str
    country: str
    type: NumberType | None
    features: frozenset[Feature]
    monthly_cost: Decimal | None


@dataclass(frozen=True, kw_only=True)
class RentedNumber:
    """A number that the account rents. webhook_url: where it posts its inbound messages, "" if none is set for it."""

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
    """A carrier's knowledge of a real number. country and line_type are "" where they are not known."""

    verdict: LookupVerdict
    country: str = ""
    line_type: str = ""


@dataclass(frozen=True, kw_only=True)
class Balance:
    """The credit of the account. euros: EUR. refills_itself: the carrier charges a card when it runs low."""

    euros: Decimal
    refills_itself: bool


@dataclass(frozen=True, kw_only=True)
class OutgoingText:
    """A message to send. client_ref: our own id, at most 40 characters, which the receipt echoes."""

    sender: str
    recipient: str = field(repr=False)
    text: str = field(repr=False)
    client_ref: str


@dataclass(frozen=True, kw_only=True)
class SentPart:
    """One SMS of a message: its carrier id, or the carrier's code for why it rejected this part. price: EUR."""

    carrier_message_id: str
    price: Decimal | None = None
    error_code: str = ""

    @property
    def accepted(self) -> bool:
        return not self.error_code


@dataclass(frozen=True, kw_only=True)
class SendReply:
    """The carrier accepted the message: at least one part of it. Each accepted part gets its own delivery receipt."""

    parts: tuple[SentPart, ...]


@dataclass(frozen=True, kw_only=True)
class InboundText:
    """An inbound message, or one part of a long one, as the carrier's webhook describes it.

    sender: E.164, or None if the sender is not a phone number but, for example, an alphanumeric id.
    concat_ref, part, parts: the place in a long message, each part of which has its own webhook. part counts from 1.
    parts is 1 for a whole message.
    """

    carrier_message_id: str
    sender: str | None = field(repr=False)
    recipient: str
    text: str = field(repr=False)
    sent_at: datetime | None = None
    concat_ref: str = ""
    part: int = 1
    parts: int = 1


class ReceiptStatus(StrEnum):
    """The state of one message part. A status never replaces one of a higher rank."""

    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"

    @property
    def rank(self) -> int:
        """Return how certain the status is, from 0 to 2."""
        return {"unknown": 0, "accepted": 1}.get(self.value, 2)

    @property
    def is_final(self) -> bool:
        return self.rank == 2


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A delivery receipt for one message part. client_ref is "" if the carrier did not echo it.

    network: the recipient's, as MCC and MNC such as "23410". "" if the carrier does not state it.
    """

    carrier_message_id: str
    client_ref: str
    status: ReceiptStatus
    error_code: str = ""
    network: str = ""


@dataclass(frozen=True, kw_only=True)
class SentRecord:
    """One SMS in the carrier's own records of what it accepted from us. price: EUR, None if it is not known."""

    carrier_message_id: str
    client_ref: str
    status: ReceiptStatus
    error_code: str = ""
    price: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class SentPage:
    """A page of the carrier's records. next_cursor: where the next page begins, "" after the last one."""

    records: tuple[SentRecord, ...]
    next_cursor: str = ""


class CarrierError(Exception):
    """A call to the carrier failed.

    The class says whether the request took effect: `CarrierRejected` means no, `OutcomeUnknown` that nobody knows.
    Subclasses say what is at fault. `code` is the carrier's own code. The text holds no numbers, texts or credentials.
    `result` is the name of the class in the metric of carrier calls.
    """

    result: ClassVar = "failed"

    def __init__(self, detail: str, *, code: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


class OutcomeUnknown(CarrierError):
    """No reply, or one that cannot be read: the request may have taken effect. Never retry it blindly."""

    result = "unknown"


class CarrierRejected(CarrierError):
    """The request certainly had no effect."""


class FaultScope(StrEnum):
    """What to hold back after this error."""

    MESSAGE = "message"
    NUMBER = "number"
    """All messages from the same virtual number."""
    ACCOUNT = "account"
    """All messages."""
    WORKER = "worker"
    """All messages of this process, which does not reach the carrier. Other processes may reach it."""


class TemporaryFailure(CarrierRejected):
    """A temporary failure: rate limit, overload, no connection. Retry later.

    retry_after: seconds that the carrier asks us to wait, None if it asks for none.
    """

    result = "temporary"

    def __init__(
        self, detail: str, *, code: str = "", retry_after: float | None = None, scope: FaultScope = FaultScope.MESSAGE
    ) -> None:
        super().__init__(detail, code=code)
        self.retry_after = retry_after
        self.scope = scope


class PermanentFailure(CarrierRejected):
    """A permanent failure of this request: its recipient, its text or the requested number. A retry is pointless."""

    result = "refused"


class RecipientOptedOut(PermanentFailure):
    """The recipient refuses messages: the carrier, or the network, keeps their opt-out."""


class SenderFault(CarrierRejected):
    """The sender number may not do this. Other numbers of the account may."""

    result = "sender_fault"


class AccountFault(CarrierRejected):
    """The whole account is at fault: credentials, credit, permissions or our configuration. No request will work."""

    result = "account_fault"


@dataclass(frozen=True, kw_only=True)
class WebhookRequest:
    """The facts of an HTTP request to one of our webhooks from which a carrier verifies and reads it.

    query: as in the URL, percent-encoded. content_type: in lower case, without parameters. body: b"" of a GET.
    environ: the WSGI environment, for the path and for headers such as HTTP_X_SIGNATURE.
    """

    method: str
    query: str = field(repr=False)
    content_type: str
    body: bytes = field(repr=False)
    environ: Mapping[str, Any] = field(repr=False)


# The reason of a request that only a scanner sends: not signed, and without what each webhook of the carrier has.
STRAY = "stray"


class BadSignature(Exception):
    """The webhook is not from the carrier, or not recent. `reason` is one of a few words, safe to log and to count."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Undecodable(ValueError):
    """The webhook has a shape that the carrier does not document. `reason` holds neither numbers nor texts."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Carrier(ABC):
    """A phone network. Every call has a timeout, and when it fails, it raises CarrierError and nothing else.

    The verbs for webhooks make no call: they read what the carrier sent to us.
    """

    name: str
    recipient_fault_codes: ClassVar[frozenset[str]] = frozenset()
    """Error codes of receipts that blame the recipient: they say nothing against the number that sent."""
    opted_out_codes: ClassVar[frozenset[str]] = frozenset()
    """Error codes of receipts that say that the recipient has opted out."""

    def __init_subclass__(cls) -> None:
        """Count the calls of every carrier."""
        for name in CALLS & cls.__dict__.keys():
            setattr(cls, name, counted(getattr(cls, name)))

    @abstractmethod
    def search(self, query: NumberQuery) -> Iterator[AvailableNumber]:
        """Yield the numbers for rent. Each page is fetched when the caller reaches it."""

    @abstractmethod
    def buy(self, number: str, country: str) -> None:
        """Rent a number. Raise PermanentFailure if it is gone or is ours already. `owned` tells which."""

    @abstractmethod
    def configure(self, number: str, country: str, webhook_url: str) -> None:
        """Have the number post inbound messages to webhook_url, which must already answer an empty GET with 200."""

    @abstractmethod
    def owned(self, number: str = "") -> Iterator[RentedNumber]:
        """Yield the numbers that the account rents, from all pages. With `number`, yield that one or none."""

    @abstractmethod
    def cancel(self, number: str, country: str) -> None:
        """Stop renting a number."""

    @abstractmethod
    def look_up(self, number: str, country: str) -> LookupResult:
        """Look up a real number with the carrier's service that the setting LOOKUP names."""

    @abstractmethod
    def balance(self) -> Balance:
        """Return the credit of the account. Raise AccountFault if the credentials are refused."""

    @abstractmethod
    def send(self, text: OutgoingText) -> SendReply:
        """Send one message once. Raise an error only if no part was accepted."""

    @abstractmethod
    def sent_between(self, start: datetime, end: datetime, cursor: str = "") -> SentPage:
        """Return one page of the carrier's records of what it received from us, from start until before end.

        Both are in the past, and at most a day apart. The carrier may charge for each record. A record may appear
        minutes after the message was sent, so a missing one proves nothing.
        """

    @abstractmethod
    def read_webhook(self, request: WebhookRequest) -> Mapping[str, str]:
        """Return the parameters of a genuine, recent webhook.

        Raise BadSignature for any other, with the reason "unreadable" if its parameters cannot be read.
        """

    @abstractmethod
    def parse_inbound(self, params: Mapping[str, str]) -> InboundText:
        """Return the text that these parameters of a webhook describe. Raise Undecodable."""

    @abstractmethod
    def parse_receipt(self, params: Mapping[str, str]) -> Receipt:
        """Return the delivery receipt that these parameters of a webhook describe. Raise Undecodable."""

    @abstractmethod
    def harmless_receipt(self) -> Mapping[str, str]:
        """Return the parameters of a genuine receipt that is about no message, to test the webhook.

        It is stored, and changes nothing.
        """

    @abstractmethod
    def webhook_content(self, params: Mapping[str, str]) -> Mapping[str, str]:
        """Return the parameters to keep for staff: all except the signature."""

    @abstractmethod
    def webhook_identity(self, params: Mapping[str, str]) -> Mapping[str, str]:
        """Return the parameters that stay the same when the carrier sends the same webhook again."""
