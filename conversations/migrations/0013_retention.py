from django.db import migrations, models

import smsproxy.database.clock
from smsproxy.database.concurrent_index import AddIndexBesideTraffic, RemoveIndexBesideTraffic


class Migration(migrations.Migration):
    # PostgreSQL builds indexes concurrently only outside a transaction.
    atomic = False

    dependencies = [("conversations", "0012_confirmation_indexes")]

    operations = [
        migrations.CreateModel(
            name="RetentionMark",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("table", models.CharField(max_length=60)),
                (
                    "up_to",
                    models.BigIntegerField(default=0, help_text="The last id that the present walk has seen."),
                ),
                (
                    "began_at",
                    models.DateTimeField(
                        default=smsproxy.database.clock.database_now,
                        help_text="When the present walk began at the first row.",
                    ),
                ),
            ],
            options={
                "ordering": ["table"],
                "constraints": [models.UniqueConstraint(fields=("table",), name="one_retention_mark")],
            },
        ),
        AddIndexBesideTraffic(
            model_name="participant",
            index=models.Index(
                models.F("replaced_by"),
                condition=models.Q(("replaced_by__isnull", False)),
                name="participant_replaced",
            ),
        ),
        # A claim could use the old index. Its successor is built before it goes, so the job that needs it is never slow.
        AddIndexBesideTraffic(
            model_name="outboundmessage",
            index=models.Index(
                models.F("created_at"),
                condition=models.Q(("created_at__isnull", False), ("state", "queued")),
                name="outbound_queued_since",
            ),
        ),
        RemoveIndexBesideTraffic(model_name="outboundmessage", name="outbound_aging"),
    ]
