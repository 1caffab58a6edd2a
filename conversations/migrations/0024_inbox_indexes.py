from django.db import migrations, models

from smsproxy.database.concurrent_index import AddIndexBesideTraffic


class Migration(migrations.Migration):
    # PostgreSQL builds indexes concurrently only outside a transaction.
    atomic = False

    dependencies = [("conversations", "0023_inbox")]

    operations = [
        AddIndexBesideTraffic(
            model_name="inboundmessage",
            index=models.Index(
                models.F("received_at"),
                models.F("id"),
                condition=models.Q(("outcome__in", ["no_route", "undecodable"]), ("settled_at__isnull", True)),
                name="inbound_waiting",
            ),
        ),
        AddIndexBesideTraffic(
            model_name="inboundmessage",
            index=models.Index(
                models.F("sender"),
                models.F("virtual_number"),
                models.F("id"),
                condition=models.Q(("outcome__in", ["no_route", "undecodable"]), ("settled_at__isnull", True)),
                name="inbound_waiting_of",
            ),
        ),
    ]
