"""The phones page, and its state as JSON. Only with CARRIER=simulator, where anyone may use it."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_GET, require_safe

from conversations.phones.requests import MAX_LABEL, MAX_PEOPLE, MAX_TEXT
from conversations.phones.state import state_of, version_of
from conversations.phones.switches import SWITCHES
from smsproxy.simulator import demo_environment, network


@require_safe
@ensure_csrf_cookie
def phones(request: HttpRequest) -> HttpResponse:
    """Return the page. Its script asks for the state."""
    context = {
        "longest_text": MAX_TEXT,
        "longest_label": MAX_LABEL,
        "most_people": MAX_PEOPLE,
        "switches": SWITCHES.values(),
        "is_demo": demo_environment.is_prepared(),
    }
    return render(request, "phones/phones.html", context)


@require_GET
@never_cache
def state(request: HttpRequest) -> HttpResponse:
    """Return the phones of `?phones=ID,ID` and the conversation of `?conversation=UUID`, with what happened.

    `since` is the version of an earlier answer: if nothing has changed, the answer is 204. The network delivers what
    it has delayed until now, too, because no other process has to run for it.
    """
    network.post_due()
    version = version_of(request.GET)
    if request.GET.get("since") == version:
        return HttpResponse(status=204)
    return JsonResponse({"version": version, **state_of(request.GET)})
