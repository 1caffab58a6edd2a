import sys
from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import migrations, transaction
from django.db.models import F, TextField
from django.db.models.functions import Cast, Greatest
from django.utils import timezone

from smsproxy.crypto import decrypt, keyed_hash, number_hash
from smsproxy.phone import canonical

BATCH = 500
LIVE = {'released_at__isnull': True}


def one_row_for_each_phone(apps, schema_editor):
    """Hash every real number in its canonical spelling, and merge the rows of one phone.

    Each person is one transaction, so an interrupted run is simply repeated.
    """
    Merging(apps, schema_editor.connection.alias).run()


class Merging:
    def __init__(self, apps, alias):
        self.alias = alias
        self.people, self.virtual_numbers, self.participants, self.conversations, self.events, self.long_messages = (
            apps.get_model(app, model).objects.using(alias)
            for app, model in [
                ('numbers', 'RealNumber'),
                ('numbers', 'VirtualNumber'),
                ('conversations', 'Participant'),
                ('conversations', 'Conversation'),
                ('conversations', 'ConversationEvent'),
                ('conversations', 'LongMessage'),
            ]
        )
        self.references = [
            (each.related_model.objects.using(alias), each.field.name)
            for each in apps.get_model('numbers', 'RealNumber')._meta.get_fields(include_hidden=True)
            if each.auto_created and not each.concrete
        ]
        self.hashed, self.merged, self.unreadable, self.closed, self.beside = 0, 0, [], [], []

    def run(self):
        last = 0
        # As text, because the model's own field would raise an error for a token that no key decrypts.
        rows = self.people.annotate(token=Cast('number', TextField())).order_by('pk')
        while batch := list(rows.filter(pk__gt=last).values_list('pk', 'token', 'number_hash')[:BATCH]):
            last = batch[-1][0]
            for pk, token, stored in batch:
                try:
                    number = decrypt(token)
                except ImproperlyConfigured:
                    self.unreadable.append(pk)
                    continue
                if canonical(number) != number and stored != number_hash(number):
                    with transaction.atomic(using=self.alias):
                        self.settle(pk, number_hash(number))
        self.report()

    def settle(self, pk, its_hash):
        kept = self.people.filter(number_hash=its_hash).values_list('pk', flat=True).first()
        if kept is None:
            self.people.filter(pk=pk).update(number_hash=its_hash)
            self.hashed += 1
        else:
            self.merge(pk, kept)

    def merge(self, other, kept):
        """Give all that the row `other` has to the row `kept`, which has the canonical hash."""
        list(self.people.select_for_update().filter(pk__in=[other, kept]).order_by('pk').values_list('pk'))
        now = timezone.now()
        shared = self.participants.filter(real_number=other).filter(
            conversation__in=self.participants.filter(real_number=kept).values('conversation')
        )
        stay = list(shared.values_list('pk', flat=True))
        for participant in shared.filter(**LIVE):
            self.release(participant, now)
        theirs = self.participants.filter(real_number=other).exclude(pk__in=stay)
        for participant in theirs.filter(**LIVE):
            rival = self.participants.filter(real_number=kept, proxy_number=participant.proxy_number_id, **LIVE).first()
            if rival is not None:
                self.release(min(participant, rival, key=self.claim), now)
        theirs.update(real_number=kept)
        for long_message in self.long_messages.filter(sender=other, closed_at=None):
            # The other row may have an open one with the same reference. This one is relayed as far as it has come.
            self.long_messages.filter(pk=long_message.pk).update(concat_ref=f'merged {long_message.pk}'[:20])
        for rows, field in self.references:
            if rows.model is not self.participants.model:
                rows.filter(**{field: other}).update(**{field: kept})
        if stay:
            self.people.filter(pk=other).update(number_hash=keyed_hash(f'person {other}, not found by their number'))
            self.beside.append((other, kept))
        else:
            self.people.filter(pk=other).delete()
            self.merged += 1

    def claim(self, participant):
        """Return what decides between two conversations of one pair of numbers: the open one, then the newer."""
        return participant.conversation.state == 'open', participant.pk

    def release(self, participant, now):
        """Release a pair that cannot be told from another, and close its conversation, so that nobody texts there."""
        self.participants.filter(pk=participant.pk).update(release_at=now, released_at=now)
        self.virtual_numbers.filter(pk=participant.proxy_number_id).update(
            live_pair_count=Greatest(F('live_pair_count') - 1, 0)
        )
        conversation = participant.conversation
        closing = self.conversations.filter(pk=conversation.pk, state='open')
        if closing.update(state='closed', closed_at=now, closed_reason='two spellings', late_messages='end'):
            of_pool = conversation.pool.cool_down if conversation.pool else None
            cool_down = timedelta(seconds=settings.COOL_DOWN_SECONDS if of_pool is None else of_pool)
            self.participants.filter(conversation=conversation, **LIVE).update(release_at=now + cool_down)
            reason = 'two spellings of one phone had the same pair of numbers, or were in one conversation'
            self.events.create(conversation=conversation, old_state='open', new_state='closed', reason=reason)
            self.closed.append(conversation.public_id)

    def report(self):
        lines = []
        if self.hashed or self.merged:
            lines.append(f'{self.hashed} people have a new hash, {self.merged} were merged: one row for each phone.')
        if self.closed:
            closed = ', '.join(map(str, self.closed))
            lines.append(f'Conversations closed, because two spellings of one phone met there: {closed}.')
        for other, kept in self.beside:
            lines.append(
                f'Real number {other} was not merged with {kept}: both were in one conversation. It keeps its place '
                'there, and is not found by its number any more.'
            )
        if self.unreadable:
            ids = ', '.join(map(str, self.unreadable))
            lines.append(f'Real numbers that no key of ENCRYPTION_KEYS decrypts, left as they are: {ids}.')
        sys.stdout.write(''.join(f'\n  {line}' for line in lines))


class Migration(migrations.Migration):

    atomic = False

    dependencies = [
        ('numbers', '0005_number_hash'),
        # The rows that refer to a person are changed under their names of this version.
        ('conversations', '0004_names'),
    ]

    operations = [migrations.RunPython(one_row_for_each_phone, migrations.RunPython.noop)]
