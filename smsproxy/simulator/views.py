"""The phones in the browser: the page, what is on the phones as JSON, and a text that somebody types."""

from typing import Any

import phonenumbers
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from smsproxy.api import problems
from smsproxy.api.parsers import BodyTooLarge, load_json, read_bounded

from .models import Direction, SimulatedHandset
from .network import WebhookNotDelivered, send_from_handset

SHOWN = 2  # phones side by side
MAX_PHONES = 100
MAX_TEXTS = 200  # on one phone, the newest
MAX_TEXT = 5000  # characters


class Refusal(Exception):
    """The request cannot be done. The text is shown to the person at the page."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@require_safe
def phones(request: HttpRequest) -> HttpResponse:
    return render(request, "simulator/phones.html", {"longest_text": MAX_TEXT})


@require_GET
@never_cache
def state(request: HttpRequest) -> JsonResponse:
    """What is on the phones of `?phones=ID,ID`, else on the first two; and the people whose phone can be chosen."""
    known = {str(handset.pk): handset for handset in SimulatedHandset.objects.all()[:MAX_PHONES]}
    asked = dict.fromkeys(request.GET.get("phones", "").split(","))
    shown = [known[key] for key in asked if key in known] or list(known.values())
    return JsonResponse(
        {
            "people": [{"id": handset.pk, "name": str(handset)} for handset in known.values()],
            "phones": [_phone(handset) for handset in shown[:SHOWN]],
        }
    )


@require_POST
def texts(request: HttpRequest) -> JsonResponse:
    """Somebody types: {"handset": id, "number": the virtual number of a thread on it, "text": "…"}."""
    try:
        handset, number, text = _typed(request)
        return JsonResponse({"id": send_from_handset(handset, number, text).pk}, status=201)
    except WebhookNotDelivered as error:
        refusal = Refusal(409, f"The text went nowhere: {error}.")
    except Refusal as error:
        refusal = error
    body = problems.body(refusal.status, refusal.detail)
    return JsonResponse(body, status=refusal.status, content_type=problems.CONTENT_TYPE)


def _phone(handset: SimulatedHandset) -> dict[str, Any]:
    """A phone as the page draws it. It has nothing that its owner could not see."""
    threads: dict[str, list[dict[str, Any]]] = {}
    for text in reversed(handset.texts.order_by("-pk")[:MAX_TEXTS]):
        threads.setdefault(text.virtual_number, []).append(
            {
                "id": text.pk,
                "typed": text.direction == Direction.FROM_HANDSET,
                "text": text.text,
                "at": text.created_at.isoformat(),
            }
        )
    return {
        "id": handset.pk,
        "name": handset.name or "A phone",
        "number": _spaced(handset.number),
        "threads": [
            {"number": number, "shown": _spaced(number), "texts": on_it} for number, on_it in sorted(threads.items())
        ],
    }


def _typed(request: HttpRequest) -> tuple[SimulatedHandset, str, str]:
    try:
        body = load_json(read_bounded(request))
    except BodyTooLarge as error:
        raise Refusal(413, str(error.detail)) from None
    except (ValueError, OSError):
        raise Refusal(400, "Expected JSON in UTF-8: it could not be read.") from None
    if not isinstance(body, dict):
        raise Refusal(400, f"Expected a JSON object, found {type(body).__name__}.")
    handset = _handset(body.get("handset"))
    return handset, _number(handset, body.get("number")), _text(body.get("text"))


def _handset(value: object) -> SimulatedHandset:
    # bool is an int to Python.
    if type(value) is not int:
        raise Refusal(400, "handset: expected the whole number that the state gives as its id.")
    handset = SimulatedHandset.objects.filter(pk=value).first()
    if handset is None:
        raise Refusal(404, "handset: there is no phone with this id.")
    return handset


def _number(handset: SimulatedHandset, value: object) -> str:
    # Compared here, not in the database, which cannot take every string that JSON can hold.
    threads = set(handset.texts.values_list("virtual_number", flat=True))
    if not isinstance(value, str) or value not in threads:
        raise Refusal(400, "number: expected a virtual number that this phone has a thread with.")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise Refusal(400, "text: expected something to send.")
    if len(value) > MAX_TEXT:
        raise Refusal(400, f"text: expected at most {MAX_TEXT} characters, found {len(value)}.")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refusal(400, "text: expected whole characters, found half of one (a lone surrogate).") from None
    if "\0" in value:
        raise Refusal(400, "text: expected what a phone can type, found a NUL character.")
    return value


def _spaced(number: str) -> str:
    """E.164 as people write it: "+44 7700 900001"."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
