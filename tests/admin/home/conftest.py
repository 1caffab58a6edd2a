"""Fixtures of the tests of the first page."""

import pytest
from django.contrib.auth.models import Permission, User


@pytest.fixture
def staff(client, db):
    """Return a function that signs in a member of staff with these permissions."""

    def sign_in(*permissions):
        user = User.objects.create_user("sam", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return sign_in
