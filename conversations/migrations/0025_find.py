import django.db.models.deletion
from django.db import migrations, models

from smsproxy.database.concurrent_index import AddIndexBesideTraffic, RemoveForeignKeyIndexBesideTraffic


class Migration(migrations.Migration):
    # PostgreSQL builds and removes indexes concurrently only outside a transaction.
    atomic = False

    dependencies = [("conversations", "0024_inbox_indexes"), ("numbers", "0010_pool_page")]

    operations = [
        AddIndexBesideTraffic(
            model_name="participant",
            index=models.Index(models.F("real_number"), models.F("id") + 0, name="participant_of_person"),
        ),
        AddIndexBesideTraffic(
            model_name="participant",
            index=models.Index(models.F("proxy_number"), models.F("id") + 0, name="participant_of_number"),
        ),
        AddIndexBesideTraffic(
            model_name="inboundmessage",
            index=models.Index(models.F("virtual_number"), models.F("id") + 0, name="inbound_of_number"),
        ),
        AddIndexBesideTraffic(
            model_name="inboundmessage",
            index=models.Index(
                models.F("sender"),
                models.F("id") + 0,
                condition=models.Q(outcome="no_route"),
                name="inbound_of_stranger",
            ),
        ),
        AddIndexBesideTraffic(
            model_name="inboundmessage",
            index=models.Index("outcome", "id", condition=~models.Q(outcome="relayed"), name="inbound_not_relayed"),
        ),
        AddIndexBesideTraffic(
            model_name="outboundmessage",
            index=models.Index(
                "state",
                "id",
                condition=models.Q(state__in=["failed", "undelivered", "cancelled"]),
                name="outbound_not_arrived",
            ),
        ),
        AddIndexBesideTraffic(
            model_name="outboundmessage",
            index=models.Index(
                models.F("recipient"),
                models.F("id") + 0,
                condition=models.Q(state__in=["failed", "undelivered"]),
                name="outbound_failed_to",
            ),
        ),
        RemoveForeignKeyIndexBesideTraffic(
            model_name="participant",
            name="real_number",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="participants",
                to="numbers.realnumber",
            ),
        ),
        RemoveForeignKeyIndexBesideTraffic(
            model_name="participant",
            name="proxy_number",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="participants",
                to="numbers.virtualnumber",
            ),
        ),
        RemoveForeignKeyIndexBesideTraffic(
            model_name="inboundmessage",
            name="virtual_number",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="inbound_messages",
                to="numbers.virtualnumber",
            ),
        ),
    ]
