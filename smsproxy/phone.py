"""Phone numbers as text: E.164 in, country and area out, and a masked form for people's eyes."""

import re

import phonenumbers

E164_EXAMPLE = "+447700900001"
MOST_DIGITS = 15
# A bounded length: what the world sends is matched against it.
_WRITTEN = re.compile(r"\+[0-9][0-9 ().-]{5,30}")


class NotE164(ValueError):
    """The text is not a possible E.164 number. The message does not repeat it."""


def parse_e164(text: str) -> str:
    """The number in E.164, spaces, dashes, dots and brackets removed.

    It must be *possible* (right length for its calling code), not *valid*: the tables of valid ranges lag behind new
    ones, and refuse the fictional numbers that examples use.
    """
    stripped = text.strip(" ")
    if not stripped.startswith("+"):
        raise NotE164(f'expected a number in E.164 form, with "+" and the country code, such as "{E164_EXAMPLE}"')
    # The library reads more than that: letters as on a keypad, digits of every script, and it overlooks what it cannot
    # read at the end.
    if not _WRITTEN.fullmatch(stripped):
        raise NotE164(f'expected a number in E.164 form, "+" and digits only, such as "{E164_EXAMPLE}"')
    try:
        number = phonenumbers.parse(stripped)
    except phonenumbers.NumberParseException:
        raise NotE164(f'expected a number in E.164 form, such as "{E164_EXAMPLE}"') from None
    e164 = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    # Not is_possible_number(): that takes a local number, without its area, for possible, too.
    is_possible = phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
    if not is_possible or len(e164) > 1 + MOST_DIGITS:
        raise NotE164("expected a possible phone number: this one has the wrong length for its country")
    return e164


def country_of(number: str) -> str:
    """ISO 3166-1 alpha-2: the number's region or, where its range is not known, its calling code's main region.

    "" for a calling code without a country (satellite phones, say), and for what is not a number at all.
    """
    parsed = _parse(number)
    if parsed is None:
        return ""
    region = phonenumbers.region_code_for_number(parsed) or phonenumbers.region_code_for_country_code(
        parsed.country_code or 0
    )
    return region if len(region) == 2 and region.isalpha() else ""


def area_of(number: str) -> str:
    """The geographical area, calling code included, such as "1212" for New York; "" where there is none."""
    parsed = _parse(number)
    if parsed is None:
        return ""
    length = phonenumbers.length_of_geographical_area_code(parsed)
    if not length and parsed.country_code == 1:
        length = 3  # Fictional NANP numbers (555-01xx) have their area code all the same.
    return f"{parsed.country_code}{phonenumbers.national_significant_number(parsed)[:length]}" if length else ""


def mask(number: str) -> str:
    """Enough to recognise a number that one knows, and too little to learn it: "+44 ••• 01"."""
    parsed = _parse(number)
    return f"+{parsed.country_code} ••• {number[-2:]}" if parsed else "•••"


def _parse(number: str) -> phonenumbers.PhoneNumber | None:
    """None: a network sent us a sender of the right length that no country has."""
    try:
        return phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return None
