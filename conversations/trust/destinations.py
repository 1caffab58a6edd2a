"""Destinations: the phones to which smsproxy may send texts, by their country and the type of their number.

A text to a premium-rate number or a satellite phone can cost a hundred times an ordinary one, and its owner may get a
part of the price. Tables of number ranges lag behind new ranges, so a number of unknown type is allowed.
"""

from collections.abc import Sequence
from functools import cache, partial

import phonenumbers
from django.conf import settings
from phonenumbers import PhoneMetadata, PhoneNumber, PhoneNumberType

from numbers.models import Pool, VirtualNumber
from numbers.models.virtual_number import REQUIRED_SENDER_COUNTRIES, VirtualNumberQuerySet
from smsproxy.phone import country_of

# A person's phone has no such number. Toll-free numbers are allowed: in North America some can receive texts.
_REFUSED_TYPES = {
    PhoneNumberType.PREMIUM_RATE: "a premium-rate number",
    PhoneNumberType.SHARED_COST: "a shared-cost number",
    PhoneNumberType.PERSONAL_NUMBER: "a personal number, which forwards at a high price",
    PhoneNumberType.PAGER: "a pager",
    PhoneNumberType.UAN: "a company's access number",
    PhoneNumberType.VOICEMAIL: "a mailbox",
}


class DestinationNotAllowed(Exception):
    """No text may go to this number. The message says why, without it.

    position: its index in the list. advice: what the operator can do, or "".
    """

    def __init__(self, position: int, reason: str, advice: str = "") -> None:
        super().__init__(reason)
        self.position = position
        self.advice = advice


def check_destinations(numbers: Sequence[str], pool: Pool | None) -> None:
    """Raise DestinationNotAllowed for the first of these E.164 numbers to which no text may go.

    Without ALLOWED_COUNTRIES, the active numbers of the pool decide: None is the common pool.
    """
    is_allowed = cache(partial(_is_allowed, pool=pool))
    for position, number in enumerate(numbers):
        phone = phonenumbers.parse(number)
        if kind := _refused_kind(phone):
            raise DestinationNotAllowed(
                position, f"is {kind}, to which no text may be sent. Use the number of the person's own phone"
            )
        if not any(is_allowed(country) for country in _possible_countries(phone)):
            country = country_of(number)
            advice = f"To text phones of {country}, add it to ALLOWED_COUNTRIES"
            raise DestinationNotAllowed(position, _wrong_country(country, pool), advice)


def is_destination(number: str, pool: Pool | None) -> bool:
    """Return whether a text may go to this number, as a carrier gave it."""
    try:
        check_destinations([number], pool)
    except (DestinationNotAllowed, phonenumbers.NumberParseException):
        return False
    return True


def _refused_kind(phone: PhoneNumber) -> str:
    """Return what the number is, if no text may go to its kind, or ""."""
    if phone.country_code in phonenumbers.COUNTRY_CODES_FOR_NON_GEO_REGIONS:
        return f"a number of no country (+{phone.country_code}), such as a satellite phone's"
    kind = phonenumbers.number_type(phone)
    # Some subscriber numbers are as short. Those have a type.
    if kind == PhoneNumberType.UNKNOWN and phonenumbers.is_valid_short_number(phone):
        return "an emergency or short number"
    return _REFUSED_TYPES.get(kind, "")


def _possible_countries(phone: PhoneNumber) -> list[str]:
    """Return the country of the number. If its range is unknown: the countries that may have it by its calling code."""
    if country := phonenumbers.region_code_for_number(phone):
        return [country]
    # Others of a shared calling code are known by their first digits, such as Jamaica by 876.
    countries = phonenumbers.region_codes_for_country_code(phone.country_code or 0)
    tables = {country: PhoneMetadata.metadata_for_region(country) for country in countries}
    return [country for country, table in tables.items() if table and not table.leading_digits]


def _is_allowed(country: str, pool: Pool | None) -> bool:
    if settings.ALLOWED_COUNTRIES:
        return bool(settings.ALLOWED_COUNTRIES & {country, "*"})
    # The United States and Canada accept each other's numbers, so numbers of one serve both.
    senders = REQUIRED_SENDER_COUNTRIES.get(country, (country,))
    serving = _serving(pool)
    # A pool without numbers is a shortage, not a wrong destination. The first question has an index.
    return (
        serving.assignable().filter(country__in=senders).exists()
        or serving.filter(country__in=senders).exists()
        or not serving.exists()
    )


def _serving(pool: Pool | None) -> VirtualNumberQuerySet:
    return VirtualNumber.objects.serving().filter(pool=pool)


def _wrong_country(country: str, pool: Pool | None) -> str:
    allowed = settings.ALLOWED_COUNTRIES or set(_serving(pool).order_by().values_list("country", flat=True).distinct())
    return (
        f"is a phone of {country}, and texts may only go to phones of {', '.join(sorted(allowed))}. Use another number "
        "of this person"
    )
