"""The pages of a working day in German. What is stored stays English. See sign_in/test_language.py for the API."""

import re
from html.parser import HTMLParser

import pytest
from django.urls import reverse

from conversations.models import ConversationEvent, OutboundMessage, TroubleEpisode
from smsproxy.staff.models import AuditEntry
from tests.support.populated import populate
from tests.support.translations import LOCALE, read_po

pytestmark = pytest.mark.django_db
GERMAN = {"Accept-Language": "de"}
PAGES = {
    "home": "Alles zeigen|Ihre Bereiche",
    "thread": "Verlauf",
    "inbox": "Posteingang",
    "pool": "Virtuelle Nummern|Nummern kaufen",
    "technical": "Technisches",
    "audit": "Protokoll",
    "find": "Referenz, ID oder Nummer",
}
# The name of the product, words that are the same in German, and names that tests give.
SAME = {"Pools", "Pool", "Simulator", "Name", "Status", "Service", "Filter"}


class Words(HTMLParser):
    """The words of a page, one for each text, label and button."""

    def __init__(self):
        super().__init__()
        self.found = set()
        self.hidden = 0

    def handle_starttag(self, tag, attrs):
        self.hidden += tag in ("script", "style", "code")
        named = dict(attrs)
        self.found.update(named[name] or "" for name in ("title", "aria-label", "placeholder") if name in named)
        if tag == "input" and named.get("type") == "submit":
            self.found.add(named.get("value") or "")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("script", "style", "code")

    def handle_data(self, data):
        if not self.hidden:
            self.found.add(re.sub(r"\s+", " ", data).strip())


def words_of(answer):
    words = Words()
    words.feed(answer.content.decode())
    return words.found


def english():
    """Return the marked strings that have another word in German."""
    return {text for text, german in read_po(LOCALE / "de/LC_MESSAGES/django.po").items() if german != [text]}


@pytest.fixture
def populated(carrier):
    return populate()


def address_of(page, populated):
    addresses = {
        "home": reverse("admin:index"),
        "thread": reverse("admin:conversations_conversation_change", args=[populated.conversation.pk]),
        "inbox": reverse("admin:inbox"),
        "pool": reverse("admin:pool"),
        "technical": reverse("admin:technical"),
        "audit": reverse("admin:staff_auditentry_changelist"),
        "find": reverse("admin:find"),
    }
    return addresses[page]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_of_the_day_is_in_german(admin_client, populated, page):
    answer = admin_client.get(address_of(page, populated), headers=GERMAN)

    assert '<html lang="de"' in answer.content.decode()
    assert re.search(PAGES[page], answer.content.decode())
    # The names of states in the table of raw events are what is stored.
    raw = {"open", "created", "new"} if page == "thread" else set()
    assert {word for word in words_of(answer) if word.rstrip(":") in english()} - SAME - raw == set()


def test_lists_name_their_columns_in_german(admin_client, populated):
    answer = admin_client.get(reverse("admin:conversations_outboundmessage_changelist"), headers=GERMAN)

    assert {"Absender", "Empfänger", "Zustand", "Versuche"} <= words_of(answer)
    assert "ausgehende Nachricht" in answer.content.decode()


def test_what_an_act_in_german_stores_is_english(admin_client, populated):
    url = reverse("admin:conversations_conversation_act", args=[populated.conversation.pk, "text"])
    admin_client.post(url, {"text": "Hello", "reason": "ticket 4711", "confirm": "1"}, headers=GERMAN)
    close = reverse("admin:conversations_conversation_act", args=[populated.conversation.pk, "close"])
    admin_client.post(close, {"reason": "ticket 4711"}, headers=GERMAN)
    reveal = reverse("admin:reveal", args=["texts", populated.conversation.pk])
    admin_client.post(reveal, {"reason": "ticket 4711"}, headers=GERMAN)

    event = ConversationEvent.objects.filter(new_state="closed").latest("pk")
    assert event.reason == "closed: ticket 4711"
    details = set(AuditEntry.objects.values_list("detail", flat=True))
    assert "the texts" in details
    reasons = {
        event.reason
        for message in OutboundMessage.objects.all()
        for event in message.events.all()
        if not event.old_state
    }
    assert reasons <= {
        "queued as notice",
        "queued as confirmation",
        "queued as relay",
        "queued as from the marketplace",
    }


def test_troubles_are_shown_in_german_and_stored_in_english(admin_client, populated):
    answer = admin_client.get(reverse("admin:index"), headers=GERMAN)

    assert "Unterhaltungen ohne freie Nummer in der letzten Stunde" in answer.content.decode()
    stored = TroubleEpisode.objects.get(kind="shortages").sentence
    assert stored.startswith("Conversations without a free number in the last hour: 1")


def test_the_audit_names_objects_in_english(admin_client, populated):
    message = OutboundMessage.objects.get(kind="relay")
    admin_client.get(reverse("admin:conversations_outboundmessage_change", args=[message.pk]), headers=GERMAN)
    admin_client.post(
        reverse("admin:reveal", args=["texts", populated.conversation.pk]), {"reason": "t"}, headers=GERMAN
    )
    admin_client.get(reverse("admin:conversations_outboundmessage_change", args=[message.pk]), headers=GERMAN)

    entry = AuditEntry.objects.filter(object_type="conversations.outboundmessage").latest("pk")
    assert entry.object_name == f"outbound message {message.pk}"
