from django.db import migrations, models

from smsproxy.database.concurrent_index import AddIndexBesideTraffic


class Migration(migrations.Migration):

    # The table of messages can be large: these are built while it is written.
    atomic = False

    dependencies = [
        ('conversations', '0011_job_lease'),
    ]

    operations = [
        AddIndexBesideTraffic(
            model_name='outboundmessage',
            index=models.Index(models.F('conversation'), condition=models.Q(('kind', 'confirmation'), ('state__in', ['failed', 'undelivered'])), name='confirmation_failed'),
        ),
        AddIndexBesideTraffic(
            model_name='outboundmessage',
            index=models.Index(models.F('created_at'), condition=models.Q(('kind', 'confirmation'), ('state__in', ['failed', 'undelivered'])), name='confirmation_failed_at'),
        ),
    ]
