"""Phone numbers as text: parse E.164, compare two spellings, derive country and area, and mask for display."""

import re

import phonenumbers

from smsproxy.numbering_plans import OTHER_BEGINNINGS, RULES

E164_EXAMPLE = "+447700900001"
# For JSON Schema.
E164_PATTERN = r"^\+[1-9][0-9]{6,14}$"
MAX_DIGITS = 15
# The length is bounded because untrusted input is matched against it.
_WRITTEN = re.compile(r"\+[0-9][0-9 ().-]{5,30}")


class NotE164(ValueError):
    """The text is not a possible E.164 number. The message does not contain it."""


def parse_e164(text: str) -> str:
    """Return the number in E.164, without spaces, dashes, dots and brackets. Raises NotE164.

    The number must be *possible* (right length for its calling code), not *valid*. Tables of valid ranges lag behind
    new ranges, and reject the fictional numbers that examples use. A spelling that `canonical` knows is returned as it
    is, although it may have the length of an old plan.
    """
    stripped = text.strip(" ")
    if not stripped.startswith("+"):
        raise NotE164(f'expected a number in E.164 form, with "+" and the country code, such as "{E164_EXAMPLE}"')
    # The library accepts more: keypad letters, digits of every script, and unreadable text at the end.
    if not _WRITTEN.fullmatch(stripped):
        raise NotE164(f'expected a number in E.164 form, "+" and digits only, such as "{E164_EXAMPLE}"')
    try:
        number = phonenumbers.parse(stripped)
    except phonenumbers.NumberParseException:
        raise NotE164(f'expected a number in E.164 form, such as "{E164_EXAMPLE}"') from None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not (_is_possible(number) or canonical(e164) != e164) or len(e164) > 1 + MAX_DIGITS:
        raise NotE164("expected a possible phone number: this one has the wrong length for its country")
    return e164


def _is_possible(number: phonenumbers.PhoneNumber) -> bool:
    # is_possible_number() would also accept a local number without its area code.
    return phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE


def is_valid(number: str) -> bool:
    """Return whether the number is in a range that is in use. The tables lag behind: see `parse_e164`."""
    parsed = _parse(number)
    return parsed is not None and phonenumbers.is_valid_number(parsed)


def canonical(number: str) -> str:
    """Return the one spelling that stands for all spellings of this E.164 number. Any other text is returned as it is.

    It serves to compare numbers. Texts go to the number as it was registered: a network may know no other spelling.
    """
    for pattern, spelling in RULES.get(number[:3]) or RULES.get(number[:4]) or ():
        if pattern.fullmatch(number):
            return pattern.sub(spelling, number)
    return number


def canonical_prefixes(prefix: str) -> list[str]:
    """Return how numbers begin in their canonical spelling, if only other spellings begin with this prefix.

    For any other prefix, return an empty list. A rule keeps the end of a number, so examples show what it does to the
    beginning.
    """
    found = set()
    if OTHER_BEGINNINGS.match(prefix):
        for length in range(MAX_DIGITS + 2 - len(prefix)):
            for digit in "0123456789":
                number = canonical(prefix + digit * length)
                if number != prefix + digit * length:
                    found.add(number[: len(number) - length])
    return sorted(found)


def country_of(number: str) -> str:
    """Return the country of the number, ISO 3166-1 alpha-2.

    If its range is unknown, this is the main region of its calling code. Return "" for a calling code without a
    country (satellite phones) and for text that is not a number.
    """
    parsed = _parse(number)
    if parsed is None:
        return ""
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    return region if len(region) == 2 and region.isalpha() else ""


def area_of(number: str) -> str:
    """Return calling code and area code, such as "1212" for New York, or "" for a number without an area."""
    parsed = _parse(number)
    if parsed is None:
        return ""
    length = phonenumbers.length_of_geographical_area_code(parsed)
    if not length and parsed.country_code == 1:
        length = 3  # The library gives fictional numbers (555-01xx) no area.
    return f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)[:length]}" if length else ""


def mask(number: str) -> str:
    """Return a form that identifies a known number without revealing an unknown one: "+44 ••• 01"."""
    parsed = _parse(number)
    return f"+{parsed.country_code} ••• {number[-2:]}" if parsed else "•••"


def _parse(number: str) -> phonenumbers.PhoneNumber | None:
    """Return None for a number with an unassigned calling code, which networks do send."""
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
