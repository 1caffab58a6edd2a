"""What staff delete on Django's own pages is in the audit: all of it, and nothing else."""

import threading

import pytest
from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models.signals import post_delete, post_save

from smsproxy.staff.models import AuditEntry
from tests.support.concurrency import wait_for_a_lock
from tests.support.signals import failing

pytestmark = pytest.mark.django_db

GROUPS = "/admin/auth/group/"


@pytest.fixture
def groups(db):
    return [Group.objects.create(name=name) for name in ("berlin", "paris")]


def delete(client, groups):
    return client.post(
        GROUPS, {"action": "delete_selected", "_selected_action": [group.pk for group in groups], "post": "yes"}
    )


def deleted():
    return list(AuditEntry.objects.filter(action="deleted").order_by("pk").values_list("object_name", flat=True))


def test_each_deleted_row_has_an_entry(admin_client, groups):
    delete(admin_client, groups)

    assert deleted() == ["berlin", "paris"]
    assert not Group.objects.filter(pk__in=[group.pk for group in groups]).exists()


def test_one_row_is_deleted_on_its_page_with_one_entry(admin_client, groups):
    admin_client.post(f"{GROUPS}{groups[0].pk}/delete/", {"post": "yes"})

    assert deleted() == ["berlin"]
    assert not Group.objects.filter(name="berlin").exists()


@pytest.mark.parametrize("failure", [(post_save, AuditEntry), (post_delete, Group)])
def test_rows_are_deleted_with_their_entries_or_not_at_all(admin_client, groups, failure):
    admin_client.raise_request_exception = False
    with failing(*failure):
        assert delete(admin_client, groups).status_code == 500

    assert deleted() == []
    assert Group.objects.filter(pk__in=[group.pk for group in groups]).count() == 2


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_row_that_somebody_else_deletes_at_that_moment_has_no_second_entry(admin_client, groups):
    def delete_both():
        try:
            delete(admin_client, groups)
        finally:
            connection.close()

    late = threading.Thread(target=delete_both)
    with transaction.atomic():
        Group.objects.filter(name="berlin").delete()
        late.start()
        wait_for_a_lock()
    late.join(60)

    assert deleted() == ["paris"]
