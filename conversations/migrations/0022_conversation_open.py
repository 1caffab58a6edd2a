from django.db import migrations, models

from smsproxy.database.concurrent_index import AddIndexBesideTraffic


class Migration(migrations.Migration):
    # PostgreSQL builds indexes concurrently only outside a transaction.
    atomic = False

    dependencies = [("conversations", "0021_thread")]

    operations = [
        AddIndexBesideTraffic(
            model_name="conversation",
            index=models.Index(models.F("id"), condition=models.Q(state="open"), name="conversation_open"),
        ),
    ]
