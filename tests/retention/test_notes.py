"""Internal notes are erased with the texts, and go with their conversation."""

from datetime import timedelta

import pytest

from conversations.models import Conversation, ConversationNote
from conversations.retention.erase_texts import erase_old_texts
from smsproxy.database.clock import database_now
from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.outbox import later
from tests.support.retention import DAY, pass_over

pytestmark = pytest.mark.django_db


@pytest.fixture
def conversation(db):
    add_numbers(2)
    return talk(ALICE, BOB)


def test_a_note_is_erased_when_the_texts_of_its_time_are(conversation, settings):
    settings.TEXT_RETENTION_SECONDS = DAY
    for days in (2, 0):
        at = database_now() - timedelta(days=days)
        ConversationNote.objects.create(conversation=conversation, text="She called.", author="sam", created_at=at)

    erase_old_texts()

    assert list(ConversationNote.objects.order_by("pk").values_list("text", flat=True)) == ["", "She called."]


def test_a_note_goes_with_its_conversation(conversation, settings, time_machine):
    settings.MESSAGE_RETENTION_SECONDS = DAY
    ConversationNote.objects.create(conversation=conversation, text="She called.", author="sam")
    conversation.close()
    conversation.participants.update(released_at=database_now())
    later(time_machine, 3 * DAY)

    pass_over()

    assert not Conversation.objects.exists()
    assert not ConversationNote.objects.exists()
