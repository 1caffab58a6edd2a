"""A web server that is killed during an act of staff has done the act and recorded it, or neither."""

import json
import os
import signal
import subprocess
import sys

import pytest
from django.contrib import messages
from django.test import Client
from django.urls import reverse

from conversations.models import ApiMessage, ConversationEvent, OutboundMessage
from smsproxy.staff import audit
from smsproxy.staff.models import AuditEntry
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.demo_process import ROOT
from tests.support.relay_process import url_of_the_test
from tests.support.staff_members import signed_in

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgres]

PROGRAM = "import django; django.setup(); from tests.slow.crashes.test_staff_act_crashes import main; main()"
RIGHTS = (
    "conversations.view_conversation",
    "conversations.change_conversation",
    "conversations.message_participants",
)
ACTS = {
    "text": {"text": "Your driver is here.", "previewed": "Your driver is here."},
    "hold": {},
    "close": {},
}
WHY = "ticket 4711"


def kill(*_args, **_options):
    os.kill(os.getpid(), signal.SIGKILL)


def kill_after(function):
    def wrapped(*args, **options):
        function(*args, **options)
        kill()

    return wrapped


# Where the server dies, and whether the act is done then.
POINTS = {
    "before the entry": (lambda: setattr(audit, "record", kill), False),
    "before the commit": (lambda: setattr(audit, "record", kill_after(audit.record)), False),
    "before the answer": (lambda: setattr(messages, "success", kill), True),
}


def main():
    """Do each of the posts on the command line in a process of its own, which is killed at its point."""
    for point, cookie, url, data in json.loads(sys.argv[1]):
        if child := os.fork():
            _pid, status = os.waitpid(child, 0)
            assert os.WTERMSIG(status) == signal.SIGKILL
        else:
            POINTS[point][0]()
            client = Client()
            client.cookies["sessionid"] = cookie
            client.post(url, data)
            os._exit(1)


def killed(posts):
    """Do the posts, and be killed during each."""
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_DATABASE_URL": url_of_the_test()}
    program = [sys.executable, "-c", PROGRAM, json.dumps(posts)]
    subprocess.run(program, cwd=ROOT, env=environment, check=True)


def traces(conversation):
    """Return what the act left: texts to phones, events, and entries of the audit."""
    return (
        ApiMessage.objects.filter(conversation=conversation).count(),
        OutboundMessage.objects.filter(conversation=conversation).count(),
        ConversationEvent.objects.filter(conversation=conversation).count(),
        AuditEntry.objects.filter(action="did", object_id=conversation.pk).count(),
    )


def test_an_act_and_its_entry_are_saved_together_or_not_at_all():
    add_numbers(18)
    sam = signed_in(*RIGHTS)
    cookie = sam.cookies["sessionid"].value
    cases = {(act, point): talk(ALICE, BOB, ttl=3600) for act in ACTS for point in POINTS}
    before = {case: traces(conversation) for case, conversation in cases.items()}

    def url(act, point):
        return reverse("admin:conversations_conversation_act", args=[cases[act, point].pk, act])

    killed([(point, cookie, url(act, point), {"reason": WHY, **ACTS[act]}) for act, point in cases])
    after = {case: traces(conversation) for case, conversation in cases.items()}
    # Staff see no answer, and send the form again.
    for act, point in cases:
        sam.post(url(act, point), {"reason": WHY, **ACTS[act]})
    again = {case: traces(conversation) for case, conversation in cases.items()}

    for (act, point), found in after.items():
        assert (found != before[act, point]) == POINTS[point][1], (act, point)
        assert found[-1] - before[act, point][-1] == POINTS[point][1], (act, point)
    for act in ACTS:
        assert len({tuple(map(int.__sub__, again[act, point], before[act, point])) for point in POINTS}) == 1, act
