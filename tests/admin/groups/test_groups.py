"""The groups of staff are made once, with the rights of the table, and stay as the operator changes them."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User

from smsproxy.staff.groups import AUDITOR, GROUPS, OPERATIONS, RIGHTS, SUPPORT, TRUST, make_groups, permissions_of

pytestmark = pytest.mark.django_db

# No right of a group: they are for superusers, or only for the simulator's invented phones.
NOBODY_S_VIEWS = {"simulator", "admin", "contenttypes", "sessions", "axes", "otp_static", "otp_totp"}


@pytest.fixture
def groups():
    make_groups(apps)
    return {group.name: group for group in Group.objects.filter(name__in=GROUPS)}


def known():
    return names(Permission.objects.all())


def rights_of(group):
    return names(group.permissions.all())


def names(permissions):
    pairs = permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in pairs}


def test_every_right_of_the_table_exists():
    named = {name for right in RIGHTS for name in right.permissions}

    assert named - known() == set()


def test_each_group_has_its_rights_of_the_table(groups):
    assert set(groups) == set(GROUPS)
    for name, group in groups.items():
        assert rights_of(group) == set(permissions_of(name))


def test_a_group_that_the_operator_has_changed_stays(groups):
    groups[SUPPORT].permissions.clear()

    make_groups(apps)

    assert not groups[SUPPORT].permissions.exists()


def test_trust_and_safety_may_do_all_that_support_may():
    assert set(permissions_of(SUPPORT)) < set(permissions_of(TRUST))


@pytest.mark.parametrize("group", [OPERATIONS, AUDITOR])
def test_operations_and_auditors_uncover_nothing(group):
    assert not {"numbers.reveal_realnumber", "conversations.read_message_text"} & set(permissions_of(group))


def test_an_auditor_sees_every_model_and_changes_nothing():
    allowed = set(permissions_of(AUDITOR))

    assert [name for name in allowed if ".view_" not in name] == []
    seen = {name for name in known() if ".view_" in name and name.partition(".")[0] not in NOBODY_S_VIEWS}
    assert seen - allowed - {"auth.view_permission"} == set()


def test_a_member_of_a_group_has_its_rights(groups):
    user = User.objects.create_user("sam", is_staff=True)
    user.groups.add(groups[SUPPORT])

    assert user.has_perm("conversations.change_conversation")
    assert not user.has_perm("numbers.reveal_realnumber")
