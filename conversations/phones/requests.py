"""Read the bodies of the phones page. A Refusal says what is wrong with one."""

from typing import Any

from django.http import HttpRequest

from conversations.phones.switches import SWITCHES, Switch
from smsproxy.api.parsers import BodyTooLarge, load_json, read_bounded
from smsproxy.simulator.models import SimulatedHandset

MAX_TEXT = 5000  # characters
MAX_LABEL = 40  # characters
MIN_PEOPLE, MAX_PEOPLE = 2, 6  # of a conversation that is created here


class Refusal(Exception):
    """An error of the request. The page shows its text to the person who uses it."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


def read_object(request: HttpRequest) -> dict[str, Any]:
    """Return the JSON object of the body. Raise Refusal."""
    try:
        body = load_json(read_bounded(request))
    except BodyTooLarge as error:
        raise Refusal(413, str(error.detail)) from None
    except (ValueError, OSError):
        raise Refusal(400, "The body cannot be read: expected JSON in UTF-8.") from None
    if not isinstance(body, dict):
        raise Refusal(400, f"Expected a JSON object, found {type(body).__name__}.")
    return body


def read_handset(value: object) -> SimulatedHandset:
    """Return the phone with this id. Raise Refusal."""
    # bool is an int to Python.
    if type(value) is not int:
        raise Refusal(400, "handset: expected an integer, the id of a phone in the state.")
    handset = SimulatedHandset.objects.filter(pk=value).first()
    if handset is None:
        raise Refusal(404, "handset: no phone has this id.")
    return handset


def read_text(value: object) -> str:
    """Return the text, as it was typed. Raise Refusal."""
    if not isinstance(value, str) or not value.strip():
        raise Refusal(400, "text: expected a text that is not empty.")
    if len(value) > MAX_TEXT:
        raise Refusal(400, f"text: expected at most {MAX_TEXT} characters, found {len(value)}.")
    _refuse_untypable("text", value)
    return value


def read_people(value: object) -> list[tuple[SimulatedHandset | None, str]]:
    """Return each person's phone, None for somebody new, and their name."""
    if not isinstance(value, list) or not MIN_PEOPLE <= len(value) <= MAX_PEOPLE:
        raise Refusal(400, f"people: expected {MIN_PEOPLE} to {MAX_PEOPLE} people.")
    people = [_read_person(each) for each in value]
    phones = [handset.pk for handset, _ in people if handset]
    if len(set(phones)) != len(phones):
        raise Refusal(400, "people: expected each person once.")
    return people


def read_switch(value: object) -> Switch:
    """Return the switch with this name. Raise Refusal."""
    switch = SWITCHES.get(value) if isinstance(value, str) else None
    if switch is None:
        raise Refusal(400, f"kind: expected one of {', '.join(SWITCHES)}.")
    return switch


def _read_person(value: object) -> tuple[SimulatedHandset | None, str]:
    if not isinstance(value, dict):
        raise Refusal(400, "people: expected an object for each person.")
    handset = None if value.get("handset") is None else read_handset(value["handset"])
    label = value.get("label") or (handset.name if handset else "")
    if not isinstance(label, str) or len(label) > MAX_LABEL or (not label.strip() and not handset):
        raise Refusal(400, f"label: expected a name of at most {MAX_LABEL} characters for each new person.")
    _refuse_untypable("label", label)
    if not label.isprintable():
        raise Refusal(400, "label: expected a name in one line.")
    return handset, label.strip()


def _refuse_untypable(field: str, value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refusal(400, f"{field}: expected valid Unicode, found a lone surrogate.") from None
    if "\0" in value:
        raise Refusal(400, f"{field}: expected characters that a phone can type, found NUL.")
