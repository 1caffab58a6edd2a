"""The E.164 numbers that a number may stand for, as people write, copy and dictate numbers."""

import re
import unicodedata
from collections.abc import Iterable

import phonenumbers

from smsproxy.phone import NotE164, parse_e164

MAX_LENGTH = 40
"""No spelling is longer, in characters."""

# Everything that groups digits: spaces, punctuation, and invisible characters that a copied number may bring with it.
# Not the "#" before the id of an order.
_GROUPING = re.compile(r"[^\w+#]|_")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\xad]")
# Digits that are no phone number, although they look like one.
_OTHER_DIGITS = re.compile(
    r"""
    # A UUID, or a long hexadecimal id.
    (?<!\w) [0-9a-f]{8} (?: -[0-9a-f]{4} ){3} -[0-9a-f]{12} (?!\w)
    | (?<!\w) (?= \d*[a-f]+\d+[a-f] ) [0-9a-f]{16,} (?!\w)
    # A day and a time.
    | (?<!\d) (?: 19|20 ) \d\d - (?: 0[1-9]|1[0-2] ) - (?: 0[1-9]|[12]\d|3[01] ) (?!\d)
    | (?<!\d) (?: 0?[1-9]|[12]\d|3[01] ) ([./]) (?: 0?[1-9]|1[0-2] ) \1 (?: 19|20 ) \d\d (?!\d)
    | (?<!\d) \d{1,2} (?: :\d\d ){1,2} (?!\d)
    # A name with a year and a number, such as "INC-2026-001234".
    | (?<= [a-z][-_/] ) 20\d\d [-_/] \d{1,6} (?!\d)
    """,
    re.VERBOSE | re.IGNORECASE,
)
# What people put between the digits of a number. No line break, and no comma: it separates the items of a list.
_BETWEEN = r"[ \t().\-/·|*_~'’\u2010-\u2015\u2212]{0,4}"
_WRITTEN = re.compile(rf"\+{_BETWEEN}\d(?:{_BETWEEN}\d){{6,}}|\d(?:{_BETWEEN}\d){{7,}}")
# "+44 (0)7700 900001": the trunk prefix is not dialled after the country code.
_TRUNK = re.compile(r"^(\s*(?:\+|00)[\s().-]*\d{1,3}[\s.-]*)\(0\)")
_NANP = ("US", "CA")
# Of a number with its country code and without "+". Fewer may as well be a date or an order's number.
_FEWEST_DIGITS = 10
# Without the country code. Few numbers are shorter, and the beginning of a number is not one.
_FEWEST_NATIONAL_DIGITS = 8


def with_plain_digits(text: str) -> str:
    """Return the text with the digits 0 to 9 in place of those of other scripts and widths."""
    return "".join(str(unicodedata.decimal(each, each)) for each in unicodedata.normalize("NFKC", text))


def holds_phone_number(text: str) -> bool:
    """Return whether a reason or note, which is kept, holds a phone number as people write it.

    That is 8 or more digits, or 7 or more after "+", with at most four spaces, dashes, dots, slashes or
    brackets between two of them. Days, times and ids with letters do not count. The filter of the logs is laxer.
    """
    plain = _INVISIBLE.sub("", with_plain_digits(text))
    return bool(_WRITTEN.search(_OTHER_DIGITS.sub("x", plain)))


def digits_of(text: str) -> str:
    """Return the digits of a number in any spelling, after a "+" if it has one. Return "" for any other text."""
    joined = _GROUPING.sub("", _TRUNK.sub(r"\1", with_plain_digits(text)))
    return joined if re.fullmatch(r"\+?[0-9]+", joined) else ""


def possible_numbers(text: str, countries: Iterable[str]) -> list[str]:
    """Return the E.164 numbers that the text may be, the likeliest first. An empty list: it is no whole number.

    countries: where to look for a number without its country code, ISO 3166-1 alpha-2.
    """
    digits = digits_of(text) if len(text) <= MAX_LENGTH else ""
    if digits.startswith("+"):
        return _international(digits)
    found = _international(f"+{digits[2:]}") if digits.startswith("00") else []
    for country in dict.fromkeys(countries):
        if country in _NANP and digits.startswith("011"):
            found += _international(f"+{digits[3:]}")
        found += _national(digits, country)
    if not digits.startswith("0") and len(digits) >= _FEWEST_DIGITS:
        found += _international(f"+{digits}")
    return list(dict.fromkeys(found))


def calling_code(country: str) -> int:
    """Return the calling code of this country, ISO 3166-1 alpha-2. 0: it has none."""
    return phonenumbers.country_code_for_region(country)


def _international(number: str) -> list[str]:
    try:
        return [parse_e164(number)]
    except NotE164:
        return []


def _national(digits: str, country: str) -> list[str]:
    try:
        parsed = phonenumbers.parse(digits, country)
    except phonenumbers.NumberParseException:
        return []
    national = phonenumbers.national_significant_number(parsed)
    if len(national) < _FEWEST_NATIONAL_DIGITS:
        return []
    # The library keeps the trunk prefix of what is too short without it, such as "07700 9000".
    prefix = phonenumbers.ndd_prefix_for_region(country, True)
    if prefix == "0" and national.startswith(prefix) and not phonenumbers.is_valid_number(parsed):
        return []
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return []
    return _international(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
