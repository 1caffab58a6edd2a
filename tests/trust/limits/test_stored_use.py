"""The stored use of a limit: when it is deleted, and what staff see of it."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from conversations.models import LimitScope, LimitUsage
from conversations.worker.periodic_jobs import purge_unused_limits
from numbers.models import RealNumber
from tests.support.builders import ALICE

pytestmark = pytest.mark.django_db


def test_the_use_of_a_limit_is_deleted_a_day_after_it_is_free_again(text, to, settings, time_machine):
    settings.MESSAGES_PER_PERSON_DAY = settings.MESSAGES_PER_PERSON_MINUTE = 1
    settings.MESSAGES_PER_CONVERSATION_MINUTE = 60
    text(ALICE, to)

    time_machine.move_to(timezone.now() + timedelta(days=1, minutes=2))
    assert purge_unused_limits() == 1
    assert LimitUsage.objects.get().scope == LimitScope.PERSON, "the conversation's whole limit was free after a second"

    time_machine.move_to(timezone.now() + timedelta(days=1))
    assert purge_unused_limits() == 1
    assert not LimitUsage.objects.exists()


def test_staff_see_who_uses_a_limit_by_id_and_not_by_number(text, to, settings, admin_client):
    settings.MESSAGES_PER_PERSON_MINUTE = 1
    text(ALICE, to)
    text(ALICE, to)
    alice = RealNumber.objects.with_number(ALICE).get()

    page = admin_client.get(reverse("admin:conversations_limitusage_changelist")).content.decode()

    assert f"person {alice.pk}" in page
    assert "virtual number" in page
    assert "used up" in page
    assert "within the limit" in page
    assert ALICE[1:] not in page
    assert to[1:] not in page
    row = LimitUsage.objects.get(scope=LimitScope.PERSON)
    assert admin_client.get(reverse("admin:conversations_limitusage_change", args=[row.pk])).status_code == 200
