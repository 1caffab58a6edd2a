import pytest
from django.contrib.auth.models import Permission, User

from numbers.models import Pool
from tests.support.builders import add_numbers


@pytest.fixture
def berlin(db):
    return Pool.objects.create(name="berlin")


@pytest.fixture
def number(db):
    """Return an active number of the common pool, +447700900500."""
    return add_numbers(1)[0]


@pytest.fixture
def staff(client, db):
    """Return a function that logs in a staff user with the given permissions."""

    def log_in(*permissions):
        user = User.objects.create_user("sam", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def file(tmp_path):
    def write(content):
        path = tmp_path / "numbers.csv"
        path.write_text(content)
        return str(path)

    return write
