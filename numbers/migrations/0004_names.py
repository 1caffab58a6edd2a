from decimal import Decimal

import django.db.models.deletion
import django.core.validators
from django.db import migrations, models
from django.db.models import ExpressionWrapper, F, Index, Q

BOUGHT_BEFORE = ExpressionWrapper(Q(last_assigned_at__isnull=False), output_field=models.BooleanField())
FREE = Q(('can_sms', True), ('state', 'active'), ('is_reserved', False))
# The columns before the count of live pairs, by index.
INDEXES = {
    'virtual_number_of_area': ['pool', 'area'],
    'virtual_number_of_region': ['pool', 'region'],
    'virtual_number_of_country': ['pool', 'country'],
    'virtual_number_of_pool': ['pool'],
}


def index(name, columns):
    fields = [F(column) for column in [*columns, 'live_pair_count']]
    return Index(*fields, BOUGHT_BEFORE, F('last_assigned_at'), condition=FREE, name=name)


class Migration(migrations.Migration):
    """Both databases rename a column in the indexes and constraints that use it. Django's state must be told."""

    dependencies = [
        ('numbers', '0003_pools'),
        # It writes the count of live pairs under its old name.
        ('conversations', '0003_pools'),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                *(migrations.RemoveIndex('virtualnumber', name) for name in INDEXES),
                migrations.RemoveConstraint('topup', 'top_up_fills_to_its_mark_or_above'),
            ],
        ),
        migrations.RenameField('virtualnumber', 'live', 'live_pair_count'),
        migrations.RenameField('topup', 'trouble', 'last_error'),
        migrations.RenameField('topup', 'low_water', 'low_threshold'),
        migrations.RenameField('shortage', 'able', 'eligible_count'),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                *(migrations.AddIndex('virtualnumber', index(name, columns)) for name, columns in INDEXES.items()),
                migrations.AddConstraint(
                    'topup',
                    models.CheckConstraint(
                        condition=Q(target__gte=F('low_threshold')), name='top_up_fills_to_its_mark_or_above'
                    ),
                ),
            ],
        ),
        # Help texts and labels, of which the database knows nothing.
        migrations.AlterField(
            model_name='numberevent',
            name='actor',
            field=models.CharField(blank=True, help_text='The member of staff or the API key. Empty: the system.', max_length=150),
        ),
        migrations.AlterField(
            model_name='numberevent',
            name='reason',
            field=models.CharField(help_text='The reason in words, without real numbers or texts.', max_length=200),
        ),
        migrations.AlterField(
            model_name='numberorder',
            name='pool',
            field=models.ForeignKey(blank=True, help_text='The pool that its numbers go to.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='numbers.pool'),
        ),
        migrations.AlterField(
            model_name='numberorder',
            name='top_up',
            field=models.ForeignKey(blank=True, help_text='The top-up rule that placed the order.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='orders', to='numbers.topup'),
        ),
        migrations.AlterField(
            model_name='orderevent',
            name='actor',
            field=models.CharField(blank=True, help_text='The member of staff or the API key. Empty: the system.', max_length=150),
        ),
        migrations.AlterField(
            model_name='orderevent',
            name='reason',
            field=models.CharField(help_text='The reason in words, without real numbers or texts.', max_length=200),
        ),
        migrations.AlterField(
            model_name='pool',
            name='cool_down',
            field=models.PositiveIntegerField(blank=True, help_text='Seconds for which nobody else gets the numbers of an ended conversation. Empty: COOL_DOWN_SECONDS.', null=True, validators=[django.core.validators.MaxValueValidator(316224000)]),
        ),
        migrations.AlterField(
            model_name='pool',
            name='name',
            field=models.SlugField(help_text='The name in API requests, such as berlin.', max_length=40, unique=True),
        ),
        migrations.AlterField(
            model_name='pool',
            name='number_cap',
            field=models.PositiveIntegerField(blank=True, help_text='The maximum number of live participants of one number. Empty: NUMBER_CAP.', null=True, validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AlterField(
            model_name='realnumber',
            name='country',
            field=models.CharField(blank=True, help_text='ISO 3166-1 alpha-2, or empty.', max_length=2),
        ),
        migrations.AlterField(
            model_name='realnumber',
            name='line_type',
            field=models.CharField(blank=True, help_text="The lookup's answer, such as “mobile”.", max_length=40),
        ),
        migrations.AlterField(
            model_name='shortage',
            name='country',
            field=models.CharField(blank=True, help_text="The person's country: ISO 3166-1 alpha-2.", max_length=2),
        ),
        migrations.AlterField(
            model_name='shortage',
            name='eligible_count',
            field=models.PositiveIntegerField(help_text='The number of virtual numbers eligible for this person, free or not.'),
        ),
        migrations.AlterField(
            model_name='shortage',
            name='in_use',
            field=models.PositiveIntegerField(help_text='The number of those in use by this person, open or cooling down.'),
        ),
        migrations.AlterField(
            model_name='shortage',
            name='needed',
            field=models.PositiveIntegerField(help_text='The number of eligible virtual numbers needed.'),
        ),
        migrations.AlterField(
            model_name='shortage',
            name='next_release_at',
            field=models.DateTimeField(blank=True, help_text='The time at which the next one is released.', null=True),
        ),
        migrations.AlterField(
            model_name='shortage',
            name='real_number',
            field=models.ForeignKey(blank=True, help_text='The person, if known.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='shortages', to='numbers.realnumber'),
        ),
        migrations.AlterField(
            model_name='topup',
            name='busy_until',
            field=models.DateTimeField(blank=True, editable=False, help_text='A worker holds this rule until then.', null=True),
        ),
        migrations.AlterField(
            model_name='topup',
            name='is_enabled',
            field=models.BooleanField(default=False, help_text='Off: report purchases without making them.', verbose_name='buys numbers'),
        ),
        migrations.AlterField(
            model_name='topup',
            name='last_error',
            field=models.CharField(blank=True, editable=False, help_text='The error of the last purchase.', max_length=300),
        ),
        migrations.AlterField(
            model_name='topup',
            name='low_threshold',
            field=models.PositiveIntegerField(help_text='Buy numbers when fewer than this are free.', validators=[django.core.validators.MinValueValidator(1)]),
        ),
        migrations.AlterField(
            model_name='topup',
            name='max_monthly_cost',
            field=models.DecimalField(decimal_places=2, help_text='EUR a month: the maximum cost of one number. Numbers of unknown cost are not bought.', max_digits=8, validators=[django.core.validators.MinValueValidator(Decimal('0'))]),
        ),
        migrations.AlterField(
            model_name='topup',
            name='monthly_budget',
            field=models.DecimalField(decimal_places=2, help_text='EUR a month: the maximum total cost of the numbers that this rule buys.', max_digits=9, validators=[django.core.validators.MinValueValidator(Decimal('0'))]),
        ),
        migrations.AlterField(
            model_name='topup',
            name='retry_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='The next attempt after a failed purchase.', null=True),
        ),
        migrations.AlterField(
            model_name='topup',
            name='target',
            field=models.PositiveIntegerField(help_text='The number of free numbers after buying.'),
        ),
        migrations.AlterField(
            model_name='virtualnumber',
            name='is_rented',
            field=models.BooleanField(db_default=False, default=False, help_text='Rented from the carrier, and paid for.', verbose_name='rented'),
        ),
        migrations.AlterField(
            model_name='virtualnumber',
            name='is_reserved',
            field=models.BooleanField(db_default=False, default=False, help_text='Only for conversations that request this number.', verbose_name='reserved'),
        ),
        migrations.AlterField(
            model_name='virtualnumber',
            name='live_pair_count',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Participants with this number, open or cooling down.', verbose_name='live pairs'),
        ),
        migrations.AlterField(
            model_name='virtualnumber',
            name='monthly_cost',
            field=models.DecimalField(blank=True, decimal_places=2, help_text='EUR a month. Empty if the carrier does not say.', max_digits=8, null=True),
        ),
        migrations.AlterField(
            model_name='virtualnumber',
            name='pool',
            field=models.ForeignKey(blank=True, db_index=False, help_text='Empty: the common pool, for conversations that name no pool.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='numbers', to='numbers.pool'),
        ),
        migrations.AlterField(
            model_name='virtualnumber',
            name='rate',
            field=models.FloatField(blank=True, help_text='Segments per second. Empty: NUMBER_SEGMENTS_PER_SECOND for its country.', null=True, validators=[django.core.validators.MinValueValidator(0.01)]),
        ),
        migrations.AlterField(
            model_name='virtualnumber',
            name='webhook_url',
            field=models.CharField(blank=True, help_text='The inbound webhook configured at the carrier, as last known.', max_length=300),
        ),
    ]
