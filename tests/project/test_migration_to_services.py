"""The migration of a database from before services: all of it belongs to the service `default` and goes on."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from conversations.models import Block, Conversation
from smsproxy.api.models import ApiKey, IdempotencyRecord
from smsproxy.services.models import DEFAULT_SERVICE_ID, Service
from tests.support.builders import ALICE, BOB, add_numbers, talk

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("numbers", "0009_troubles"), ("api", "0002_help_texts"), ("conversations", "0013_retention")]
indexes = import_module("conversations.migrations.0015_service_indexes")


@pytest.fixture
def before():
    """Return the models of that version, in a database of that version. Migrate it to the latest at the end."""
    for target in reversed(BEFORE):
        state = MigrationExecutor(connection).migrate([target])
    yield state.apps
    call_command("migrate", verbosity=0)


@pytest.mark.slow
def test_keys_conversations_and_blocks_move_to_the_default_service(before):
    key = before.get_model("api", "ApiKey").objects.create(name="rides", prefix="0123abcd", key_hash="x" * 64)
    before.get_model("conversations", "Conversation").objects.create(reference="order-1", created_by_id=key.pk)
    before.get_model("conversations", "Block").objects.create(prefix="+88213", reason="satellite", created_by="sam")

    call_command("migrate", verbosity=0)

    conversation = Conversation.objects.get()
    assert conversation.service.name == "default"
    assert (conversation.notify, conversation.ttl, conversation.metadata, conversation.texts) == (True, None, "", None)
    assert ApiKey.objects.get().service_id == DEFAULT_SERVICE_ID
    assert set(ApiKey.objects.get().scopes.split()) == {"read", "write"}
    assert Block.objects.get().service_id == DEFAULT_SERVICE_ID
    assert Service.objects.create(name="parcels").pk != DEFAULT_SERVICE_ID


def test_the_ttl_of_a_conversation_is_the_time_from_its_beginning_to_its_end():
    add_numbers(4)
    limited, reopened, endless = talk(ALICE, BOB), talk(ALICE, BOB), talk(ALICE, BOB)
    at = timezone.now()
    of = Conversation.objects.filter
    of(pk=limited.pk).update(ttl=None, created_at=at, expires_at=at + timedelta(seconds=90))
    of(pk=reopened.pk).update(
        ttl=None, created_at=at - timedelta(days=3), reopened_at=at, expires_at=at + timedelta(hours=1)
    )

    indexes.store_ttl(apps, connection.schema_editor())

    ttls = dict(Conversation.objects.values_list("pk", "ttl"))
    assert ttls == {limited.pk: 90, reopened.pk: 3600, endless.pk: None}


def test_the_idempotency_keys_of_the_last_day_are_kept():
    add_numbers(4)
    recent, old, without = talk(ALICE, BOB), talk(ALICE, BOB), talk(ALICE, BOB)
    of = Conversation.objects.filter
    of(pk=recent.pk).update(idempotency_key="order-1", request_hash="a" * 64)
    of(pk=old.pk).update(
        idempotency_key="order-0", request_hash="b" * 64, created_at=timezone.now() - timedelta(hours=25)
    )
    IdempotencyRecord.objects.all().delete()

    indexes.keep_idempotency_keys(apps, connection.schema_editor())

    [kept] = IdempotencyRecord.objects.all()
    assert (kept.service_id, kept.key, kept.request_hash) == (DEFAULT_SERVICE_ID, "order-1", "a" * 64)
    assert (kept.status, kept.body) == (201, "")
    assert kept.location == f"/api/v1/conversations/{recent.public_id}/"
    assert without.pk
