"""Conversion between our values and Vonage's. An invalid field becomes "" or None, and the answer is still used."""

import re
from decimal import Decimal, InvalidOperation
from typing import Any

from smsproxy.carriers.base import Feature, NumberType, PatternPosition, PermanentFailure

_NUMBER = re.compile(r"[1-9][0-9]{6,14}")
_COUNTRY = re.compile(r"[A-Z]{2}")

NUMBER_TYPES = {
    NumberType.MOBILE: "mobile-lvn",
    NumberType.LANDLINE: "landline",
    NumberType.TOLL_FREE: "landline-toll-free",
}
_NUMBER_TYPES_BACK = {word: number_type for number_type, word in NUMBER_TYPES.items()}
# The order of features in the combinations of the SDK's enum.
_FEATURES = (Feature.SMS, Feature.VOICE, Feature.MMS)
_PLACES = {PatternPosition.START: 0, PatternPosition.ANYWHERE: 1, PatternPosition.END: 2}


def write_number(number: str) -> str:
    """Return E.164 without its "+". Raise PermanentFailure for any other form: it may be somebody's number."""
    digits = number.removeprefix("+")
    if not _NUMBER.fullmatch(digits):
        raise PermanentFailure("a number that is not in E.164 form")
    return digits


def read_number(value: object) -> str | None:
    return f"+{value}" if isinstance(value, str) and _NUMBER.fullmatch(value) else None


def write_features(features: frozenset[Feature]) -> str | None:
    return ",".join(feature for feature in _FEATURES if feature in features) or None


def read_features(value: object) -> frozenset[Feature]:
    return frozenset(feature for feature in Feature if isinstance(value, list) and feature in value)


def write_pattern(digits: str, place: PatternPosition) -> dict[str, Any]:
    return {"pattern": digits, "search_pattern": _PLACES[place]} if digits else {}


def read_type(value: object) -> NumberType | None:
    return _NUMBER_TYPES_BACK.get(str(value))


def read_country(value: object) -> str:
    country = str(value or "").upper()
    return country if _COUNTRY.fullmatch(country) else ""


MAX_MONEY = 10_000  # EUR


def read_money(value: object) -> Decimal | None:
    """Return EUR from a string, as documented, or from a number, which the SDK's own model rejects."""
    try:
        money = Decimal(str(value))
    except InvalidOperation:
        return None
    # Nothing that we pay for costs more. A price that does not fit its column must not keep the rest from being stored.
    return round(money, 5) if money.is_finite() and 0 <= money < MAX_MONEY else None


def read_credit(value: object) -> Decimal | None:
    """Return the EUR of the account, which may be negative. Return None for anything that is not an amount."""
    try:
        credit = Decimal(str(value))
    except InvalidOperation:
        return None
    return round(credit, 2) if credit.is_finite() and not isinstance(value, bool) else None
