"""Labels: the names that stand in our texts in place of numbers.

Users of the marketplace often choose them. A label must not change the text around it, lead to a website, or be a
phone number.
"""

import re
from unicodedata import category, normalize, numeric

MAX_DIGITS = 6

# Controls and line ends; formats, which include zero-width characters and those that reverse the direction.
_CONTROLS = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# Persian and Hindi names need these between letters, and emoji between their parts.
_JOINERS = "\u200c\u200d"
_JOINED = {"Lo", "Mc", "Mn", "Sk", "So"}

_ADDRESS = re.compile(r"://|\bwww\d?\.", re.IGNORECASE)
# A domain's last part, with what follows it.
_LAST_PART = re.compile(r"\w\.([^\W\d_]{2,})(?!\w|\.\w)([/?#:]?)")
# In capitals, a name such as "J.Smith" or "St.Pauli" looks like a domain. Phones make links of these.
_TOP_LEVEL = {
    "app", "biz", "blog", "click", "cloud", "club", "com", "dev", "email", "example", "icu", "info", "link", "live",
    "mobi", "name", "net", "online", "org", "page", "pro", "shop", "site", "space", "store", "tech", "test", "today",
    "top", "vip", "website", "world", "xyz",
}  # fmt: skip


class LabelNotAllowed(ValueError):
    """The text cannot be a label. The message says what was expected, without the text. code: a slug for programs."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_label(label: str) -> None:
    """Raise LabelNotAllowed if this text cannot be a participant's label."""
    if has_control_character(label):
        raise LabelNotAllowed("control_character", "expected one line without control or invisible characters")
    # Full-width, superscript and circled characters read as plain ones.
    plain = normalize("NFKC", "".join(char for char in label if char not in _JOINERS))
    if _has_link(plain):
        raise LabelNotAllowed(
            "label_with_link",
            "expected a name without a link. If a full stop ends an abbreviation, write a space after it",
        )
    if sum(numeric(char, -1) in range(10) for char in plain) > MAX_DIGITS:
        raise LabelNotAllowed(
            "label_like_a_number",
            f"expected a name with at most {MAX_DIGITS} digits. The other participants see the label, and this one may "
            "contain a phone number",
        )


def has_control_character(text: str) -> bool:
    """Return whether the text has a line end, or a character that is invisible or changes those around it."""
    return any(category(char) in _CONTROLS and not _joins(text, place) for place, char in enumerate(text))


def _joins(text: str, place: int) -> bool:
    around = text[max(place - 1, 0) : place] + text[place + 1 : place + 2]
    return text[place] in _JOINERS and len(around) == 2 and {category(char) for char in around} <= _JOINED


def _has_link(text: str) -> bool:
    if _ADDRESS.search(text):
        return True
    return any(
        path or part.islower() or len(part) == 2 or part.lower() in _TOP_LEVEL
        for part, path in _LAST_PART.findall(text)
    )
