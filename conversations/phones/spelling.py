"""How the page writes numbers."""

import phonenumbers


def spaced(number: str) -> str:
    """Return an E.164 number with spaces, as people write it: "+44 7700 900001"."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
