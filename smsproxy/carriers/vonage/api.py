"""Calls of Vonage's SMS and Numbers APIs, through its official SDK.

client.py makes the calls, fields.py converts values, and faults.py says what an error of Vonage means.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from django.conf import settings
from vonage_numbers.requests import (
    ListOwnedNumbersFilter,
    NumberParams,
    SearchAvailableNumbersFilter,
    UpdateNumberParams,
)
from vonage_sms import SmsMessage

from smsproxy.carriers import gsm7
from smsproxy.carriers.base import (
    AccountFault,
    AvailableNumber,
    Balance,
    LookupResult,
    NumberQuery,
    OutcomeUnknown,
    OutgoingText,
    PatternPosition,
    PermanentFailure,
    RentedNumber,
    SendReply,
    SentPage,
    SentPart,
    TemporaryFailure,
)
from smsproxy.carriers.vonage.client import Client, ThreadClient, ask, body_of, build, form_client, json_client, read
from smsproxy.carriers.vonage.faults import STATUS, numbers_fault, send_http_fault, sms_fault
from smsproxy.carriers.vonage.fields import (
    NUMBER_TYPES,
    read_country,
    read_credit,
    read_features,
    read_money,
    read_number,
    read_type,
    write_features,
    write_number,
    write_pattern,
)
from smsproxy.carriers.vonage.lookups import identity_insights, number_insight
from smsproxy.carriers.vonage.reports import find_sent
from smsproxy.webhook_urls import delivery_receipt_url

BALANCE = "/account/get-balance"
PAGE = 100  # the maximum of the Numbers API
CALLBACK_LENGTH = 100
CLIENT_REF_LENGTH = 40  # by the SMS API reference; newer pages say 100

_MESSAGE_ID = re.compile(r"[\x21-\x7e]{1,64}")


class VonageApi:
    """The calls of the carrier interface. See `Carrier` for what each does."""

    def __init__(self) -> None:
        self._forms = ThreadClient(form_client)
        self._json = ThreadClient(json_client)

    def send(self, text: OutgoingText) -> SendReply:
        # If the answer to a send is lost, only the echo of client_ref in the receipt can settle its outcome.
        if not 0 < len(text.client_ref) <= CLIENT_REF_LENGTH:
            raise PermanentFailure(f"client_ref: expected 1 to {CLIENT_REF_LENGTH} characters")
        message = build(
            SmsMessage,
            from_=write_number(text.sender),
            to=write_number(text.recipient),
            text=text.text,
            # Vonage does not check the text: as "text" it would replace characters that GSM-7 does not have.
            type="text" if gsm7.is_gsm7(text.text) else "unicode",
            client_ref=text.client_ref,
            callback=_receipts_url(),
        )
        client = self._forms.get()
        return _send_reply(body_of(ask(client, lambda: client.sms.send(message)), send_http_fault))

    def search(self, query: NumberQuery) -> Iterator[AvailableNumber]:
        criteria = {
            "country": query.country.upper(),
            "features": write_features(query.features),
            "type": NUMBER_TYPES[query.type] if query.type else None,
            **write_pattern(query.pattern, query.pattern_place),
        }
        pages = self._pages(
            SearchAvailableNumbersFilter,
            criteria,
            lambda client, request: client.numbers.search_available_numbers(request),
        )
        for number, entry in pages:
            yield AvailableNumber(
                number=number,
                country=read_country(entry.get("country")),
                type=read_type(entry.get("type")),
                features=read_features(entry.get("features")),
                monthly_cost=read_money(entry.get("cost")),
            )

    def owned(self, number: str = "") -> Iterator[RentedNumber]:
        pages = self._pages(
            ListOwnedNumbersFilter,
            write_pattern(write_number(number), PatternPosition.START) if number else {},
            lambda client, request: client.numbers.list_owned_numbers(request),
        )
        for found, entry in pages:
            # The pattern also matches longer numbers that start with this one.
            if not number or found == number:
                yield RentedNumber(
                    number=found,
                    country=read_country(entry.get("country")),
                    type=read_type(entry.get("type")),
                    features=read_features(entry.get("features")),
                    webhook_url=str(entry.get("moHttpUrl") or ""),
                )

    def buy(self, number: str, country: str) -> None:
        request = build(NumberParams, country=country.upper(), msisdn=write_number(number))
        self._change_number(lambda client: client.numbers.buy_number(request))

    def cancel(self, number: str, country: str) -> None:
        request = build(NumberParams, country=country.upper(), msisdn=write_number(number))
        self._change_number(lambda client: client.numbers.cancel_number(request))

    def configure(self, number: str, country: str, webhook_url: str) -> None:
        request = build(
            UpdateNumberParams, country=country.upper(), msisdn=write_number(number), mo_http_url=webhook_url
        )
        self._change_number(lambda client: client.numbers.update_number(request))

    def look_up(self, number: str, country: str) -> LookupResult:
        if settings.LOOKUP == "number_insight":
            return number_insight(self._forms.get(), number)
        if settings.LOOKUP == "identity_insights":
            return identity_insights(self._json.get(), number)
        raise AccountFault("the setting LOOKUP does not name a lookup service of Vonage")

    def sent_between(self, start: datetime, end: datetime, cursor: str) -> SentPage:
        return find_sent(self._forms.get(), start, end, cursor)

    def balance(self) -> Balance:
        client = self._forms.get()
        # The SDK has this call in a part that we do not install, for one line.
        body = read(client, lambda: client.http_client.get(settings.VONAGE_REST_HOST, BALANCE, auth_type="basic"))
        euros = read_credit(body.get("value"))
        if euros is None:
            raise TemporaryFailure("an answer that cannot be read")
        return Balance(euros=euros, refills_itself=body.get("autoReload") is True)

    def _change_number(self, call: Callable[[Client], object]) -> None:
        """Change our numbers. Raise CarrierError unless Vonage confirms the change."""
        client = self._forms.get()
        answer = ask(client, lambda: call(client))
        if answer.status_code == 420:
            raise numbers_fault(420, answer.text)
        body = body_of(answer)
        code = str(body.get("error-code", ""))
        if not STATUS.fullmatch(code):
            raise OutcomeUnknown("an answer that cannot be read")
        if code != "200":
            raise numbers_fault(int(code), str(body.get("error-code-label", "")))

    def _pages(
        self, model: type, criteria: Mapping[str, Any], call: Callable[[Client, Any], object]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield every entry of a list with its number. Skip entries without one, such as short codes."""
        page = seen = 0
        while True:
            page += 1
            request = build(model, **criteria, size=PAGE, index=page)
            body = self._page(call, request)
            entries, count = body.get("numbers", []), body.get("count")
            if not isinstance(entries, list):
                raise TemporaryFailure("an answer that cannot be read")
            for entry in entries:
                if isinstance(entry, dict) and (number := read_number(entry.get("msisdn"))):
                    yield number, entry
            seen += len(entries)
            # Without a count, a page that is not full is the last.
            if not entries or (seen >= count if isinstance(count, int) else len(entries) < PAGE):
                return

    def _page(self, call: Callable[[Client, Any], object], request: Any) -> dict[str, Any]:
        client = self._forms.get()
        return read(client, lambda: call(client, request))


def _receipts_url() -> str | None:
    """Return the URL for the receipts of a message. Each message names it, so the account needs no setting for it.

    Return None, to use the account's setting, if the URL is not https or longer than Vonage accepts.
    """
    url = delivery_receipt_url()
    return url if settings.IS_HTTPS and len(url) <= CALLBACK_LENGTH else None


def _send_reply(body: dict[str, Any]) -> SendReply:
    items = body.get("messages")
    if not isinstance(items, list) or not items:
        raise OutcomeUnknown("an answer that cannot be read")
    parts = tuple(_sent_part(item) for item in items)
    if not any(part.accepted for part in parts):
        raise sms_fault(parts[0].error_code, str(items[0].get("error-text", "")))
    return SendReply(parts=parts)


def _sent_part(item: object) -> SentPart:
    if isinstance(item, dict):
        status, message_id = str(item.get("status")), item.get("message-id")
        if status == "0" and isinstance(message_id, str) and _MESSAGE_ID.fullmatch(message_id):
            return SentPart(carrier_message_id=message_id, price=read_money(item.get("message-price")))
        if status != "0" and STATUS.fullmatch(status):
            return SentPart(carrier_message_id="", error_code=status)
    raise OutcomeUnknown("an answer that cannot be read")
