from django.db import migrations, models

from smsproxy.database.concurrent_index import AddIndexBesideTraffic, RemoveForeignKeyIndexBesideTraffic


class Migration(migrations.Migration):
    # PostgreSQL builds and removes indexes concurrently only outside a transaction.
    atomic = False

    dependencies = [("conversations", "0017_one_way")]

    operations = [
        AddIndexBesideTraffic(
            model_name="inboundmessage",
            index=models.Index(models.F("participant"), models.F("id") + 0, name="inbound_of_participant"),
        ),
        AddIndexBesideTraffic(
            model_name="apimessage",
            index=models.Index(models.F("conversation"), models.F("id") + 0, name="api_message_of_conversation"),
        ),
        AddIndexBesideTraffic(
            model_name="outboundmessage",
            index=models.Index(
                models.F("conversation"),
                models.F("id") + 0,
                condition=models.Q(kind__in=["confirmation", "notice", "keyword_answer"]),
                name="own_message_of_conversation",
            ),
        ),
        RemoveForeignKeyIndexBesideTraffic(
            model_name="inboundmessage",
            name="participant",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                help_text="The author.",
                null=True,
                on_delete=models.PROTECT,
                related_name="inbound_messages",
                to="conversations.participant",
            ),
        ),
        RemoveForeignKeyIndexBesideTraffic(
            model_name="apimessage",
            name="conversation",
            field=models.ForeignKey(
                db_index=False,
                on_delete=models.PROTECT,
                related_name="api_messages",
                to="conversations.conversation",
            ),
        ),
    ]
