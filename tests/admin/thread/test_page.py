"""The page of a conversation: its thread in order, and who sees which texts."""

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conversations.models import ConversationNote, InboundMessage, InboundOutcome
from conversations.trust.blocks import block_person
from numbers.models import RealNumber
from smsproxy.database.clock import database_now
from smsproxy.staff.models import AuditEntry, Reveal
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, members, replace_number_of, talk
from tests.support.staff_members import signed_in
from tests.support.threads import HELLO, LATE, LOST, busy_thread

pytestmark = pytest.mark.django_db

SEE, READ = "conversations.view_conversation", "conversations.read_message_text"
NOTES = "conversations.view_conversationnote"


def page_of(conversation):
    return reverse("admin:conversations_conversation_change", args=[conversation.pk])


def shown(client, conversation, query=""):
    """Return the page's words, without markup and repeated white space."""
    answer = client.get(page_of(conversation) + query)
    assert answer.status_code == 200
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text.partition('id="content-main"')[2]).split())


def uncover(client, conversation):
    client.post(reverse("admin:reveal", args=["texts", conversation.pk]), {"reason": "ticket 4711"})


def in_order(text, *parts):
    places = [text.find(part) for part in parts]
    return -1 not in places and places == sorted(places)


def test_the_thread_is_one_page_from_the_oldest_line_to_the_newest(carrier, admin_client):
    conversation = busy_thread(carrier)
    uncover(admin_client, conversation)

    assert in_order(
        shown(admin_client, conversation),
        "Conversation created",
        HELLO,
        "delivered",
        LATE,
        "undelivered",
        "the phone is off, full or not in service (code 2)",
        "failed",
        "the carrier refused it (code 9)",
        LOST,
        "outcome unknown since",
        "Put on hold: ticket 4711: they quarrel · by sam",
        "Not passed on: the conversation was on hold.",
        "Hold released: they made peace · by tina",
        "Internal note by sam",
        "Alice called us twice.",
        "waits since",
        "Bob blocked: threats · by tina",
        "Not passed on: blocked.",
        "Block of Bob ended: a mistake · by tina",
    )
    assert "by tina: its author is blocked" in shown(admin_client, conversation)


def test_the_head_shows_the_state_and_the_people_masked(carrier, admin_client):
    conversation = busy_thread(carrier)
    alice, bob = members(conversation)
    bob.real_number.opt_out(reason="STOP")
    text = shown(admin_client, conversation)

    assert in_order(text, "order-17", "● Open", "Service default", "Alice +44 ••• 01", "Bob +44 ••• 02", "opted out")
    assert alice.proxy_number.number in text
    assert not any(number in admin_client.get(page_of(conversation)).text for number in (ALICE, BOB, ALICE[1:]))
    assert (
        reverse("admin:numbers_realnumber_change", args=[alice.real_number_id])
        in admin_client.get(page_of(conversation)).text
    )


@pytest.mark.parametrize(("rights", "is_linked"), [([SEE], False), ([SEE, "numbers.view_realnumber"], True)])
def test_a_person_is_linked_only_for_those_who_may_see_people(carrier, rights, is_linked):
    conversation = busy_thread(carrier)

    page = signed_in(*rights).get(page_of(conversation)).text

    assert ("/admin/numbers/realnumber/" in page) == is_linked


def test_texts_are_covered_until_they_are_revealed_for_a_reason(carrier):
    conversation = busy_thread(carrier)
    client = signed_in(SEE, READ, NOTES)
    covered = client.get(page_of(conversation)).text

    assert not any(text in covered for text in (HELLO, LATE, LOST, "Reply to this SMS", "A notice of ours"))
    assert "Short text, hidden" in covered
    assert not AuditEntry.objects.filter(action="saw").exists()

    uncover(client, conversation)
    assert HELLO in client.get(page_of(conversation)).text
    assert "15 more minutes" in shown(client, conversation)

    saw = AuditEntry.objects.filter(action="saw").latest("pk")
    assert (saw.actor, saw.object_id, saw.detail) == ("sam", str(conversation.pk), "its texts")
    people = {row.real_number_id for row in members(conversation)}
    assert set(saw.people.values_list("person_id", flat=True)) == people


def test_texts_are_covered_again_when_the_time_is_over_or_the_right_is_gone(carrier):
    conversation = busy_thread(carrier)
    client = signed_in(SEE, READ)
    uncover(client, conversation)
    reveal = Reveal.objects.get()

    reveal.user.user_permissions.remove(reveal.user.user_permissions.get(codename="read_message_text"))
    assert HELLO not in client.get(page_of(conversation)).text

    Reveal.objects.update(until=database_now() - timedelta(seconds=1))
    other = signed_in(SEE, READ, name="tina")
    assert HELLO not in other.get(page_of(conversation)).text


def test_who_may_not_read_texts_is_told_so_and_gets_no_button(carrier):
    conversation = busy_thread(carrier)
    client = signed_in(SEE)

    text = shown(client, conversation)

    assert "your role does not read them" in text
    assert "Show the texts" not in text
    assert client.post(reverse("admin:reveal", args=["texts", conversation.pk]), {"reason": "x"}).status_code == 403


def test_internal_notes_are_shown_only_with_their_right(carrier):
    conversation = busy_thread(carrier)

    assert "Alice called us twice." not in shown(signed_in(SEE), conversation)
    assert "Alice called us twice." in shown(signed_in(SEE, NOTES, name="tina"), conversation)


def test_a_page_costs_no_more_queries_however_long_the_thread_is(carrier, admin_client):
    conversation = busy_thread(carrier)
    uncover(admin_client, conversation)

    def queries():
        with CaptureQueriesContext(connection) as found:
            assert admin_client.get(page_of(conversation)).status_code == 200
        return len(found)

    queries()
    before = queries()
    fill(conversation, 150)
    for _ in range(5):
        block_person(members(conversation)[0].real_number, reason="spam", actor="tina").end(reason="x", actor="tina")

    assert queries() <= before < 35


def test_a_long_thread_begins_with_its_newest_lines_and_leads_to_the_earlier_ones(carrier, admin_client):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    uncover(admin_client, conversation)
    fill(conversation, 150)
    newest = admin_client.get(page_of(conversation))

    assert in_order(newest.text, "Text 50<", "Text 149<")
    assert "Text 49<" not in newest.text

    earlier = admin_client.get(newest.context["earlier_url"])

    assert in_order(earlier.text, "Conversation created", "Text 0<", "Text 49<")
    assert "Text 50<" not in earlier.text
    assert earlier.context["earlier_url"] == ""
    assert f'href="{page_of(conversation)}#latest"' in earlier.text


def test_a_place_that_nobody_wrote_shows_the_newest_lines(admin_client):
    add_numbers(2)
    conversation = talk(ALICE, BOB)

    for before in ("x", "1-2-3", "1-2-3-4-5-6-7", "9" * 30 + "-----", "%00"):
        assert "Conversation created" in shown(admin_client, conversation, f"?before={before}"), before


def test_a_group_has_a_colour_and_an_initial_for_each_person(admin_client):
    add_numbers(6)
    conversation = talk(ALICE, BOB, CHARLIE)
    fill(conversation, 3, rotate=True)

    page = admin_client.get(page_of(conversation)).text

    for place, initial in enumerate("ABC"):
        assert re.search(rf'bubble (left|right) person-{place}"', page)
        assert f'<span class="face" aria-hidden="true">{initial}</span>' in page


def test_a_replaced_number_and_a_removed_person_stay_in_the_head(admin_client):
    add_numbers(6)
    conversation = talk(ALICE, BOB, CHARLIE)
    alice, _, charlie = members(conversation)
    old = alice.proxy_number.number
    replace_number_of(alice)
    charlie.removed_at = database_now()
    charlie.save()

    text = shown(admin_client, conversation)

    assert f"replaced {old}" in text
    assert "removed" in text
    assert "Alice was given" in text


def test_a_conversation_without_messages_says_what_that_means(admin_client):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.events.all().delete()

    assert "Nothing is left of this conversation" in shown(admin_client, conversation)


def test_the_page_has_no_inline_script_or_style(carrier, admin_client):
    page = admin_client.get(page_of(busy_thread(carrier))).text

    assert not re.search(r"<style|style=|<script(?![^>]* src=)[^>]*>|\son[a-z]+=", page.partition("<body")[2])


def test_an_erased_text_says_so(carrier, admin_client):
    conversation = busy_thread(carrier)
    InboundMessage.objects.filter(text__isnull=False).update(text="")
    ConversationNote.objects.update(text="")
    uncover(admin_client, conversation)

    text = shown(admin_client, conversation)

    assert "The text was erased" in text
    assert "The note was erased." in text


def fill(conversation, how_many, *, rotate=False):
    """Store this many texts of the conversation, numbered from 0."""
    people = members(conversation)
    begin = database_now()
    InboundMessage.objects.bulk_create(
        InboundMessage(
            carrier_message_id=f"filled-{place}",
            outcome=InboundOutcome.RELAYED,
            participant=people[place % len(people) if rotate else 0],
            sender=RealNumber.objects.get(pk=people[0].real_number_id),
            text=f"Text {place}",
            received_at=begin + timedelta(seconds=place),
        )
        for place in range(how_many)
    )
