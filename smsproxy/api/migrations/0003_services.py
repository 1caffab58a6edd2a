import django.db.models.deletion
from django.db import migrations, models

import smsproxy.crypto
import smsproxy.database.clock
import smsproxy.services.models


class Migration(migrations.Migration):
    dependencies = [("api", "0002_help_texts"), ("services", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name='IdempotencyRecord',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(help_text='The Idempotency-Key of the request.', max_length=255)),
                ('request_hash', models.CharField(help_text='Detects a key that is reused for a different request.', max_length=64)),
                ('status', models.PositiveSmallIntegerField(help_text='The status of the answer.')),
                ('location', models.CharField(blank=True, help_text='The header of that name.', max_length=300)),
                ('body', smsproxy.crypto.EncryptedTextField(blank=True, help_text='The answer, in JSON.')),
                ('created_at', models.DateTimeField(default=smsproxy.database.clock.database_now)),
                ('service', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='services.service')),
            ],
            options={
                'ordering': ['-id'],
                'constraints': [models.UniqueConstraint(fields=('service', 'key'), name='one_answer_for_an_idempotency_key')],
                'indexes': [models.Index(models.F('created_at'), name='idempotency_record_age')],
            },
        ),
        migrations.AddField(
            model_name='apikey',
            name='expires_at',
            field=models.DateTimeField(blank=True, help_text='Empty: it does not expire.', null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='last_used_at',
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='rate_ready_at',
            field=models.FloatField(db_default=0, default=0, editable=False, help_text='The moment when the whole rate limit is free again.'),
        ),
        migrations.AddField(
            model_name='apikey',
            name='requests_per_minute',
            field=models.PositiveIntegerField(blank=True, help_text='Its rate limit. Empty: API_REQUESTS_PER_KEY_MINUTE. 0: no limit.', null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='rotated_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='Since then, another key has its name.', null=True),
        ),
        migrations.AddField(
            model_name='apikey',
            name='scopes',
            field=models.CharField(db_default='read write', default='read write', help_text='Separated by spaces.', max_length=100),
        ),
        migrations.AddField(
            model_name='apikey',
            name='service',
            field=models.ForeignKey(db_default=models.Value(1), default=smsproxy.services.models.default_service_id, on_delete=django.db.models.deletion.PROTECT, related_name='keys', to='services.service'),
        ),
        migrations.AlterField(
            model_name='apikey',
            name='name',
            field=models.CharField(help_text="The owner's name.", max_length=100),
        ),
        migrations.AddConstraint(
            model_name='apikey',
            constraint=models.UniqueConstraint(condition=models.Q(('revoked_at__isnull', True), ('rotated_at__isnull', True)), fields=('service', 'name'), name='one_key_of_a_name', violation_error_message='A key of this name exists. Choose another name.'),
        ),
    ]


ACCEPTED = {"require-concurrent-index-deletion": "the table of API keys is small"}
