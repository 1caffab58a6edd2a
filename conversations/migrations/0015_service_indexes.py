from datetime import timedelta

from django.db import migrations, models
from django.db.models.functions import Coalesce
from django.utils import timezone

from smsproxy.database.concurrent_index import (
    AddForeignKeyBesideTraffic,
    AddIndexBesideTraffic,
    AddUniqueBesideTraffic,
    RemoveUniqueBesideTraffic,
)
from smsproxy.services.models import DEFAULT_SERVICE_ID, default_service_id

BATCH_SIZE = 2000


def store_ttl(apps, schema_editor):
    """Store the ttl of the conversations that have an end: until now it was the time from their beginning to it."""
    conversations = apps.get_model("conversations", "Conversation").objects
    limited = conversations.filter(expires_at__isnull=False, ttl__isnull=True).order_by("pk")
    after = 0
    while batch := list(limited.filter(pk__gt=after).annotate(begun=Coalesce("reopened_at", "created_at"))[:BATCH_SIZE]):
        for row in batch:
            row.ttl = max(0, round((row.expires_at - row.begun).total_seconds()))
        conversations.bulk_update(batch, ["ttl"])
        after = batch[-1].pk


def keep_idempotency_keys(apps, schema_editor):
    """Keep the Idempotency-Keys of the last day. A repeat of such a request is answered with its conversation."""
    recent = apps.get_model("conversations", "Conversation").objects.filter(
        created_at__gt=timezone.now() - timedelta(days=1)
    )
    records = apps.get_model("api", "IdempotencyRecord")
    values = recent.exclude(idempotency_key="").values_list(
        "idempotency_key", "request_hash", "public_id", "created_at"
    )
    records.objects.bulk_create(
        (
            records(
                service_id=DEFAULT_SERVICE_ID,
                key=key,
                request_hash=request_hash,
                status=201,
                location=f"/api/v1/conversations/{public_id}/",
                created_at=created_at,
            )
            for key, request_hash, public_id, created_at in values.iterator(BATCH_SIZE)
        ),
        batch_size=BATCH_SIZE,
        ignore_conflicts=True,
    )


class Migration(migrations.Migration):
    # PostgreSQL builds indexes concurrently only outside a transaction.
    atomic = False

    dependencies = [("conversations", "0014_services")]

    operations = [
        AddForeignKeyBesideTraffic(
            model_name="conversation",
            name="service",
            field=models.ForeignKey(
                db_default=models.Value(1),
                db_index=False,
                default=default_service_id,
                help_text="The service that it belongs to.",
                on_delete=models.PROTECT,
                related_name="conversations",
                to="services.service",
            ),
        ),
        AddIndexBesideTraffic(
            model_name='conversation',
            index=models.Index(models.F('service'), models.F('id'), name='conversation_of_service'),
        ),
        AddIndexBesideTraffic(
            model_name='conversation',
            index=models.Index(models.F('service'), models.F('created_at'), name='conversation_created'),
        ),
        AddUniqueBesideTraffic(
            model_name='conversation',
            constraint=models.UniqueConstraint(condition=models.Q(('is_reference_unique', True), ('state', 'open')), fields=('service', 'reference'), name='one_open_conversation_of_a_reference'),
        ),
        AddUniqueBesideTraffic(
            model_name='participant',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at__isnull', True), ('replaced_by__isnull', True)), fields=('conversation', 'real_number'), name='a_person_once_in_a_conversation'),
        ),
        AddUniqueBesideTraffic(
            model_name='participant',
            constraint=models.UniqueConstraint(condition=models.Q(('removed_at__isnull', True), ('replaced_by__isnull', True)), fields=('conversation', 'position'), name='one_participant_at_a_position'),
        ),
        AddIndexBesideTraffic(
            model_name='outboundmessage',
            index=models.Index(models.F('api_message'), condition=models.Q(('api_message__isnull', False)), name='outbound_of_api_message'),
        ),
        RemoveUniqueBesideTraffic(
            model_name='participant',
            name='unique_person_in_conversation',
        ),
        RemoveUniqueBesideTraffic(
            model_name='participant',
            name='a_position_once_in_a_conversation',
        ),
        migrations.RunPython(store_ttl, migrations.RunPython.noop),
        migrations.RunPython(keep_idempotency_keys, migrations.RunPython.noop),
    ]


ACCEPTED = {"runs-python": "batches of conversations that have an end, and the idempotency keys of one day"}
