import sys

from django.db import migrations, models

from smsproxy.crypto import NumberHashField, keyed_hash, number_hash


def fill(apps, schema_editor):
    """Fill the hash of each virtual number.

    Two rows may be spellings of one number. Texts then reach the one that is rented, otherwise the newer. The other
    gets a hash that no number has.
    """
    numbers = apps.get_model('numbers', 'VirtualNumber').objects.using(schema_editor.connection.alias)
    taken = set()
    # Each row is changed once: after a second time, PostgreSQL would refuse to alter the table in this transaction.
    for pk, number in list(numbers.order_by('-is_rented', '-pk').values_list('pk', 'number')):
        its_hash = number_hash(number)
        if its_hash in taken:
            its_hash = keyed_hash(f'virtual number {pk}, not found by its number')
            sys.stdout.write(f'\n  Virtual number {pk} is another spelling of a newer one: no text reaches it any more.')
        taken.add(its_hash)
        numbers.filter(pk=pk).update(number_hash=its_hash)


class Migration(migrations.Migration):

    dependencies = [
        ('numbers', '0004_names'),
    ]

    operations = [
        migrations.AddField('virtualnumber', 'number_hash', NumberHashField(default=''), preserve_default=False),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AddConstraint(
            'virtualnumber', models.UniqueConstraint(fields=['number_hash'], name='unique_virtual_number_hash')
        ),
    ]
