import django.db.models.deletion
from django.db import migrations, models

import smsproxy.crypto
import smsproxy.database.clock
from smsproxy.database.concurrent_index import AllowNullBesideTraffic


class Migration(migrations.Migration):
    dependencies = [
        ("api", "0003_services"),
        ("conversations", "0020_hourly_samples"),
    ]

    operations = [
        migrations.CreateModel(
            name="ConversationNote",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("text", smsproxy.crypto.EncryptedTextField(blank=True, help_text="In words, without phone numbers.")),
                ("author", models.CharField(help_text="The user name of the member of staff.", max_length=150)),
                ("created_at", models.DateTimeField(default=smsproxy.database.clock.database_now)),
                (
                    "conversation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="notes",
                        to="conversations.conversation",
                    ),
                ),
            ],
            options={"verbose_name": "internal note", "ordering": ["-id"]},
        ),
        migrations.AlterModelOptions(
            name="conversation",
            options={
                "ordering": ["-id"],
                "permissions": [("message_participants", "Can text the participants as the service")],
            },
        ),
        migrations.AddField(
            model_name="apimessage",
            name="written_by",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="The member of staff who wrote it.",
                max_length=150,
            ),
        ),
        AllowNullBesideTraffic(
            model_name="apimessage",
            name="created_by",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="The API key. Empty: staff wrote it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="api.apikey",
            ),
        ),
    ]
