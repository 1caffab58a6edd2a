import django.db.models.deletion
from django.db import migrations, models

import smsproxy.crypto
import smsproxy.database.clock
import smsproxy.services.models


def move_blocks(apps, schema_editor):
    apps.get_model("conversations", "Block").objects.update(service=smsproxy.services.models.DEFAULT_SERVICE_ID)


class Migration(migrations.Migration):
    dependencies = [
        ("api", "0003_services"),
        ("conversations", "0013_retention"),
        ("numbers", "0009_troubles"),
        ("services", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name='ApiMessage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', smsproxy.crypto.EncryptedTextField(blank=True)),
                ('created_at', models.DateTimeField(default=smsproxy.database.clock.database_now)),
                ('author', models.ForeignKey(blank=True, help_text='The participant in whose name it is sent. Empty: the marketplace itself.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='api_messages', to='conversations.participant')),
                ('conversation', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='api_messages', to='conversations.conversation')),
                ('created_by', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='api.apikey')),
            ],
            options={
                'verbose_name': 'API message',
                'ordering': ['-id'],
            },
        ),
        migrations.AddField(
            model_name='block',
            name='service',
            field=models.ForeignKey(blank=True, help_text='The service whose conversations it concerns. Empty: those of every service.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='blocks', to='services.service'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='is_reference_unique',
            field=models.BooleanField(db_default=False, default=False, help_text='No other open conversation of its service may have this reference.'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='language',
            field=models.CharField(blank=True, db_default='', default='', help_text="The language of our own texts, such as pt-BR. Empty: the service's language.", max_length=35),
        ),
        migrations.AddField(
            model_name='conversation',
            name='metadata',
            field=smsproxy.crypto.EncryptedTextField(blank=True, db_default='', default='', help_text='JSON of the marketplace, returned as it is.'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='notify',
            field=models.BooleanField(db_default=True, default=True, help_text='Whether its participants are sent a confirmation.'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='on_exhausted',
            field=models.CharField(blank=True, db_default='', default='', help_text='As requested.', max_length=20),
        ),
        migrations.AddField(
            model_name='conversation',
            name='on_existing',
            field=models.CharField(blank=True, db_default='', default='', help_text='As requested.', max_length=20),
        ),
        migrations.AddField(
            model_name='conversation',
            name='service',
            field=models.ForeignKey(db_constraint=False, db_default=models.Value(1), db_index=False, default=smsproxy.services.models.default_service_id, help_text='The service that it belongs to.', on_delete=django.db.models.deletion.PROTECT, related_name='conversations', to='services.service'),
        ),
        migrations.AddField(
            model_name='conversation',
            name='stickiness',
            field=models.CharField(blank=True, db_default='', default='', help_text='As requested.', max_length=20),
        ),
        migrations.AddField(
            model_name='conversation',
            name='texts',
            field=models.JSONField(blank=True, help_text='Texts of its own by their kind, which replace those of its service.', null=True),
        ),
        migrations.AddField(
            model_name='conversation',
            name='ttl',
            field=models.PositiveIntegerField(blank=True, help_text='Seconds from its beginning to its end. A reopening restarts them.', null=True),
        ),
        migrations.AddField(
            model_name='participant',
            name='one_way',
            field=models.BooleanField(db_default=False, default=False, help_text='This person receives messages. Their own are not passed on.'),
        ),
        migrations.AddField(
            model_name='participant',
            name='removed_at',
            field=models.DateTimeField(blank=True, help_text='Since then, this phone is no longer in the conversation.', null=True),
        ),
        migrations.AddField(
            model_name='participant',
            name='side',
            field=models.CharField(blank=True, db_default='', default='', help_text='The team: participants with the same side share a proxy number.', max_length=40),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='closed_reason',
            field=models.CharField(blank=True, max_length=100),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='expires_at',
            field=models.DateTimeField(blank=True, help_text='Its end, by its ttl. Without a ttl: its fixed end. Leave empty for no time limit.', null=True),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='kind',
            field=models.CharField(choices=[('relay', 'relay'), ('notice', 'notice'), ('confirmation', 'confirmation'), ('api', 'from the marketplace'), ('keyword_answer', 'answer to a keyword')], max_length=20),
        ),
        migrations.AlterField(
            model_name='participant',
            name='position',
            field=models.PositiveSmallIntegerField(help_text="The participant's id in the conversation: the position in the request that created it, from 0."),
        ),
        migrations.AddField(
            model_name='outboundmessage',
            name='api_message',
            field=models.ForeignKey(blank=True, db_constraint=False, db_index=False, help_text='The message of the marketplace that it sends.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='legs', to='conversations.apimessage'),
        ),
        migrations.RunPython(move_blocks, migrations.RunPython.noop),
    ]


ACCEPTED = {
    "runs-python": "blocks are few: an act of staff each",
    "changing-column-type": "closed_reason only becomes longer, which rewrites nothing",
}
