import re

import smsproxy.crypto
import django.utils.timezone
import django.db.models.deletion
import conversations.models.outbound
from django.db import migrations, models
from django.db.models import Q, UniqueConstraint

from smsproxy.database.rename_constraint import RenameConstraint

MODELS = {
    'AccountPace': 'AccountRateLimit',
    'NumberPace': 'NumberRateLimit',
    'LongText': 'LongMessage',
}


def rename_permissions(names):
    """Keep what groups and staff may do: Django would create new permissions beside the old ones."""

    def rename(apps, schema_editor):
        permissions = apps.get_model('auth', 'Permission').objects.filter(content_type__app_label='conversations')
        for old, new in names.items():
            label = re.sub('(?<!^)(?=[A-Z])', ' ', new).lower()
            for verb in ['add', 'change', 'delete', 'view']:
                permissions.filter(codename=f'{verb}_{old.lower()}').update(
                    codename=f'{verb}_{new.lower()}', name=f'Can {verb} {label}'
                )

    return rename


class Migration(migrations.Migration):
    """Both databases rename a column in the constraints that use it. Django's state must be told."""

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
        ('conversations', '0003_pools'),
        ('numbers', '0004_names'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveConstraint('outboundmessage', 'said_once'),
                migrations.RemoveConstraint('longtext', 'one_open_long_text'),
            ],
        ),
        *(migrations.RenameModel(old, new) for old, new in MODELS.items()),
        migrations.RenameField('accountratelimit', 'why', 'pause_reason'),
        migrations.RenameField('accountratelimit', 'last_served', 'last_number_id'),
        migrations.RenameField('numberratelimit', 'why', 'pause_reason'),
        migrations.RenameField('numberratelimit', 'last_line', 'last_recipient_id'),
        migrations.RenameField('outboundmessage', 'once_key', 'dedup_key'),
        migrations.RenameField('inboundmessage', 'group', 'concat_ref'),
        migrations.RenameField('inboundmessage', 'long_text', 'long_message'),
        migrations.RenameField('longmessage', 'group', 'concat_ref'),
        migrations.RenameField('conversation', 'late_texts', 'late_messages'),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddConstraint('outboundmessage', UniqueConstraint(fields=['dedup_key'], name='said_once')),
                migrations.AddConstraint(
                    'longmessage',
                    UniqueConstraint(
                        fields=['sender', 'virtual_number', 'concat_ref', 'parts'],
                        condition=Q(closed_at__isnull=True),
                        name='one_open_long_text',
                    ),
                ),
            ],
        ),
        RenameConstraint('outboundmessage', 'said_once', 'unique_dedup_key'),
        RenameConstraint('longmessage', 'one_open_long_text', 'one_open_long_message'),
        RenameConstraint('participant', 'who_is_replaced_was_so_at_a_time', 'replaced_by_needs_replaced_at'),
        RenameConstraint('participant', 'a_person_once_in_a_conversation', 'unique_person_in_conversation'),
        RenameConstraint('deliveryreceipt', 'each_word_of_the_carrier_once', 'unique_receipt'),
        migrations.RunPython(
            rename_permissions(MODELS), rename_permissions({new: old for old, new in MODELS.items()})
        ),
        # Help texts and labels, of which the database knows nothing.
        migrations.AlterField(
            model_name='accountevent',
            name='actor',
            field=models.CharField(blank=True, help_text='The member of staff or the API key. Empty: the system.', max_length=150),
        ),
        migrations.AlterField(
            model_name='accountevent',
            name='reason',
            field=models.CharField(help_text='The reason in words, without real numbers or texts.', max_length=200),
        ),
        migrations.AlterField(
            model_name='accountratelimit',
            name='code',
            field=models.CharField(blank=True, help_text="The carrier's code for the error.", max_length=20),
        ),
        migrations.AlterField(
            model_name='accountratelimit',
            name='failures',
            field=models.PositiveIntegerField(default=0, help_text='Failed probes in this pause.'),
        ),
        migrations.AlterField(
            model_name='accountratelimit',
            name='last_number_id',
            field=models.BigIntegerField(default=0, help_text='The last virtual number: numbers take turns.'),
        ),
        migrations.AlterField(
            model_name='accountratelimit',
            name='pause_reason',
            field=models.CharField(blank=True, help_text='The reason for the pause.', max_length=200),
        ),
        migrations.AlterField(
            model_name='accountratelimit',
            name='probe',
            field=models.CharField(blank=True, help_text='The client-ref of the probe.', max_length=60),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='expires_at',
            field=models.DateTimeField(blank=True, help_text='Leave empty for no time limit.', null=True),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='geography',
            field=models.CharField(blank=True, choices=[('same-country', 'same-country'), ('prefer', 'prefer'), ('any', 'any')], db_default='', help_text='Countries that proxy numbers may come from. Empty: NUMBER_GEOGRAPHY.', max_length=20),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='idempotency_key',
            field=models.CharField(blank=True, help_text="The caller's Idempotency-Key: one request creates one conversation.", max_length=100),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='idle_at',
            field=models.DateTimeField(blank=True, help_text='The time at which it ends if nobody writes before.', null=True),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='idle_ttl',
            field=models.PositiveIntegerField(blank=True, help_text='Seconds without a message after which it ends. Leave empty for no idle limit.', null=True),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='late_messages',
            field=models.CharField(choices=[('end', 'reply “conversation ended”'), ('reopen', 'reopen the conversation')], db_default='end', default='end', help_text='Messages after its end, while its numbers cool down.', max_length=10),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='pool',
            field=models.ForeignKey(blank=True, db_index=False, help_text='The pool that its numbers come from. Empty: the common pool.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='conversations', to='numbers.pool'),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='reference',
            field=models.CharField(blank=True, db_index=True, help_text="The marketplace's own name for it.", max_length=100),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='reopened_at',
            field=models.DateTimeField(blank=True, help_text='The time of the last reopening.', null=True),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='request_hash',
            field=models.CharField(blank=True, help_text='Detects an Idempotency-Key that is reused for a different request.', max_length=64),
        ),
        migrations.AlterField(
            model_name='conversation',
            name='route_version',
            field=models.PositiveIntegerField(db_default=0, default=0, editable=False, help_text="Counts the replacements of its participants' numbers."),
        ),
        migrations.AlterField(
            model_name='conversationevent',
            name='actor',
            field=models.CharField(blank=True, help_text='The member of staff or the API key. Empty: the system.', max_length=150),
        ),
        migrations.AlterField(
            model_name='conversationevent',
            name='reason',
            field=models.CharField(help_text='The reason in words, without real numbers or texts.', max_length=200),
        ),
        migrations.AlterField(
            model_name='deliveryreceipt',
            name='network',
            field=models.CharField(blank=True, help_text="The recipient's network as MCC and MNC, such as 23410.", max_length=10),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='carrier_message_id',
            field=models.CharField(help_text="The carrier's id. Each is stored once.", max_length=80),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='concat_ref',
            field=models.CharField(blank=True, help_text='The reference that all parts of a long message share.', max_length=20),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='long_message',
            field=models.ForeignKey(blank=True, help_text='The long message of this part.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='conversations.longmessage'),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='missing_parts',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='The number of parts of a long message that never arrived.'),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='outcome',
            field=models.CharField(choices=[('relayed', 'relayed'), ('ended', 'conversation ended'), ('no_route', 'no route'), ('part', 'part of a long message'), ('duplicate_part', 'repeated part'), ('too_long', 'too long'), ('empty', 'empty'), ('loop', 'from ourselves'), ('undecodable', 'undecodable')], max_length=20),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='participant',
            field=models.ForeignKey(blank=True, help_text='The author.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='inbound_messages', to='conversations.participant'),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='raw',
            field=smsproxy.crypto.EncryptedTextField(blank=True, help_text='The whole webhook, if its values do not fit into these fields.'),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='reason',
            field=models.CharField(blank=True, help_text='The reason for the outcome, if the outcome does not say it.', max_length=200),
        ),
        migrations.AlterField(
            model_name='inboundmessage',
            name='sent_at',
            field=models.DateTimeField(blank=True, help_text="The carrier's own time of the message.", null=True),
        ),
        migrations.AlterField(
            model_name='longmessage',
            name='closed_at',
            field=models.DateTimeField(blank=True, help_text='The time at which it was relayed.', null=True),
        ),
        migrations.AlterField(
            model_name='longmessage',
            name='concat_ref',
            field=models.CharField(help_text="The phone's reference (UDH): a small counter that repeats.", max_length=20),
        ),
        migrations.AlterField(
            model_name='longmessage',
            name='due_at',
            field=models.DateTimeField(help_text='The time at which it is relayed without its missing parts.'),
        ),
        migrations.AlterField(
            model_name='longmessage',
            name='parts',
            field=models.PositiveSmallIntegerField(help_text='The number of its parts.'),
        ),
        migrations.AlterField(
            model_name='longmessage',
            name='sender',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='long_messages', to='numbers.realnumber'),
        ),
        migrations.AlterField(
            model_name='longmessage',
            name='virtual_number',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='long_messages', to='numbers.virtualnumber'),
        ),
        migrations.AlterField(
            model_name='messageevent',
            name='actor',
            field=models.CharField(blank=True, help_text='The member of staff or the API key. Empty: the system.', max_length=150),
        ),
        migrations.AlterField(
            model_name='messageevent',
            name='reason',
            field=models.CharField(help_text='The reason in words, without real numbers or texts.', max_length=200),
        ),
        migrations.AlterField(
            model_name='numberratelimit',
            name='failures',
            field=models.PositiveIntegerField(default=0, help_text='Failed probes in this pause.'),
        ),
        migrations.AlterField(
            model_name='numberratelimit',
            name='last_recipient_id',
            field=models.BigIntegerField(default=0, help_text='The last recipient: the recipients of a number take turns.'),
        ),
        migrations.AlterField(
            model_name='numberratelimit',
            name='pause_reason',
            field=models.CharField(blank=True, help_text='The reason for a pause. Empty: not paused.', max_length=200),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='client_ref',
            field=models.CharField(default=conversations.models.outbound.new_client_ref, help_text='Our id. Receipts repeat it, with the attempt.', max_length=32),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='dedup_key',
            field=models.CharField(blank=True, help_text='The key under which a notice is sent once.', max_length=100, null=True),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='due_at',
            field=models.DateTimeField(default=django.utils.timezone.now, help_text='The time of the next attempt or, if its outcome is unknown, of the decision.'),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='error_code',
            field=models.CharField(blank=True, help_text="The carrier's code for the last error.", max_length=20),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='failures',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Failed attempts, except faults of the number or the account.'),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='part_count',
            field=models.PositiveSmallIntegerField(blank=True, help_text="The number of SMS by the carrier's count. Empty until the carrier answers.", null=True),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='participant',
            field=models.ForeignKey(blank=True, help_text='The participant who receives it.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='messages', to='conversations.participant'),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='resends',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='The number of times UNKNOWN_OUTCOME_POLICY sent it again.'),
        ),
        migrations.AlterField(
            model_name='outboundmessage',
            name='segments',
            field=models.PositiveSmallIntegerField(help_text='The number of SMS that the text takes, by our own count.'),
        ),
        migrations.AlterField(
            model_name='outboundpart',
            name='attempt',
            field=models.PositiveIntegerField(default=1, help_text='The attempt that this part belongs to.'),
        ),
        migrations.AlterField(
            model_name='participant',
            name='chosen_by',
            field=models.CharField(blank=True, help_text='Why this number was chosen: see Preference in numbers/assignment/choose.py.', max_length=20),
        ),
        migrations.AlterField(
            model_name='participant',
            name='label',
            field=models.CharField(blank=True, help_text='The name that the other participants see.', max_length=40),
        ),
        migrations.AlterField(
            model_name='participant',
            name='position',
            field=models.PositiveSmallIntegerField(help_text='The position in the request that created the conversation, from 0.'),
        ),
        migrations.AlterField(
            model_name='participant',
            name='release_at',
            field=models.DateTimeField(blank=True, help_text='The end of the cool-down, after closing.', null=True),
        ),
        migrations.AlterField(
            model_name='participant',
            name='released_at',
            field=models.DateTimeField(blank=True, help_text='Since then, the pair may be given to others.', null=True),
        ),
        migrations.AlterField(
            model_name='participant',
            name='replaced_by',
            field=models.ForeignKey(blank=True, db_index=False, help_text='The same person with the number that replaced this one. Until the cool-down ends, both work.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='replaces', to='conversations.participant'),
        ),
        migrations.AlterField(
            model_name='texterasure',
            name='up_to',
            field=models.BigIntegerField(default=0, help_text='The last id whose text is erased, like all before it.'),
        ),
        migrations.AlterField(
            model_name='worker',
            name='concurrency',
            field=models.PositiveIntegerField(help_text='The maximum number of concurrent calls to the carrier.'),
        ),
        migrations.AlterField(
            model_name='worker',
            name='in_flight',
            field=models.PositiveIntegerField(default=0, help_text='The number of calls in flight at the last heartbeat.'),
        ),
        migrations.AlterField(
            model_name='worker',
            name='trouble',
            field=models.CharField(blank=True, help_text='Why it sends nothing. Empty: it sends.', max_length=200),
        ),
    ]
