"""Staff see who uses a limit."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conversations.models import LimitScope, LimitUsage


@pytest.mark.postgres
@pytest.mark.django_db
def test_the_list_of_limits_does_not_ask_for_the_time_for_each_row(admin_client):
    LimitUsage.objects.bulk_create(LimitUsage(scope=LimitScope.PERSON, subject_id=person) for person in range(3))

    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(reverse("admin:conversations_limitusage_changelist")).content.decode()

    assert "within the limit" in page
    assert not [query for query in queries if "clock_timestamp" in query["sql"]]
