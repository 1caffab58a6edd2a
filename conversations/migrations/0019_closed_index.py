from django.db import migrations, models

from smsproxy.database.concurrent_index import AddIndexBesideTraffic


class Migration(migrations.Migration):
    # PostgreSQL builds indexes concurrently only outside a transaction.
    atomic = False

    dependencies = [("conversations", "0018_message_pages")]

    operations = [
        AddIndexBesideTraffic(
            model_name="conversation",
            index=models.Index(
                models.F("service"),
                models.F("closed_at"),
                condition=models.Q(closed_at__isnull=False),
                name="conversation_closed",
            ),
        ),
    ]
