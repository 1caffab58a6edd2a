import django.db.models.deletion
from django.db import migrations, models

import smsproxy.database.clock


def _one_of_each(name: str, **options: str) -> models.OneToOneField:
    return models.OneToOneField(
        blank=True,
        db_constraint=False,
        null=True,
        on_delete=django.db.models.deletion.PROTECT,
        related_name="inbox_item",
        to=f"conversations.{name}",
        **options,
    )


class Migration(migrations.Migration):
    dependencies = [("conversations", "0022_conversation_open")]

    operations = [
        migrations.AddField(
            model_name="inboundmessage",
            name="settled_at",
            field=models.DateTimeField(
                blank=True,
                help_text="Since then it no longer waits in the inbox: staff answered or dismissed it.",
                null=True,
            ),
        ),
        migrations.CreateModel(
            name="InboxItem",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("taken_by", models.CharField(blank=True, max_length=150, verbose_name="taken by")),
                ("taken_at", models.DateTimeField(blank=True, null=True, verbose_name="taken at")),
                ("done_at", models.DateTimeField(blank=True, null=True, verbose_name="settled at")),
                ("done_by", models.CharField(blank=True, max_length=150, verbose_name="settled by")),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("attached", "passed on"),
                            ("answered", "answered"),
                            ("dismissed", "dismissed"),
                            ("blocked", "sender blocked"),
                            ("resent", "sent again"),
                            ("dropped", "not sent"),
                            ("released", "hold released"),
                        ],
                        max_length=20,
                        verbose_name="outcome",
                    ),
                ),
                ("created_at", models.DateTimeField(default=smsproxy.database.clock.database_now)),
                ("conversation", _one_of_each("conversation")),
                (
                    "inbound",
                    _one_of_each("inboundmessage", help_text="The oldest waiting text of its sender to that number."),
                ),
                ("outbound", _one_of_each("outboundmessage")),
            ],
            options={
                "verbose_name": "inbox item",
                "verbose_name_plural": "inbox items",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(
                        models.F("taken_by"),
                        condition=models.Q(("done_at__isnull", True), models.Q(("taken_by", ""), _negated=True)),
                        name="inbox_item_taken",
                    )
                ],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(
                                ("conversation__isnull", True),
                                ("inbound__isnull", False),
                                ("outbound__isnull", True),
                            ),
                            models.Q(
                                ("conversation__isnull", True),
                                ("inbound__isnull", True),
                                ("outbound__isnull", False),
                            ),
                            models.Q(
                                ("conversation__isnull", False),
                                ("inbound__isnull", True),
                                ("outbound__isnull", True),
                            ),
                            _connector="OR",
                        ),
                        name="inbox_item_of_one_row",
                    )
                ],
            },
        ),
    ]
