"""Staff with given rights."""

import pytest
from django.contrib.auth.models import Permission, User

OPERATIONS = [
    "view_virtualnumber",
    "change_virtualnumber",
    "add_numberorder",
    "view_numberorder",
    "replace_virtualnumber",
    "release_virtualnumber",
]


@pytest.fixture
def staff(client, db):
    """Return a function that signs in a member of staff with these permissions, by default those of operations."""

    def sign_in(*permissions):
        user = User.objects.create_user("sam", password="x", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions or OPERATIONS))
        client.force_login(user)
        return client

    return sign_in
