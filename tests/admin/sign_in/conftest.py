"""Fixtures of the sign-in: a member of staff, and their phone with an authenticator app."""

from binascii import unhexlify

import pytest
from django.contrib.auth.models import User
from django_otp.oath import TOTP

from smsproxy.sign_in import second_factor

PASSWORD = "correct horse battery staple"


class Phone:
    """An authenticator app. Its codes are those of the moment."""

    def __init__(self, user):
        self.user = user
        self.key = second_factor.new_key()

    def code(self, later=0):
        """Return the code of now. later: how many half minutes later."""
        return f"{TOTP(unhexlify(self.key), drift=later).token():06}"

    def set_up(self):
        """Set it up as the second factor, and return the recovery codes."""
        codes = second_factor.set_up(self.user, self.key, self.code())
        assert codes
        return codes


@pytest.fixture(autouse=True)
def _ten_o_clock(request, time_machine):
    """Stop the clock: a code of the app is of half a minute. A browser's test needs a clock that runs."""
    if not request.node.get_closest_marker("browser"):
        time_machine.move_to("2026-11-29 10:00:00Z", tick=False)


@pytest.fixture
def sam(db):
    return User.objects.create_user("sam", password=PASSWORD, is_staff=True)


@pytest.fixture
def phone(sam):
    return Phone(sam)


@pytest.fixture
def sign_in(client, db):
    """Return a function that types user name and password, and returns the answer."""

    def type_them(name="sam", password=PASSWORD, **options):
        return client.post("/admin/login/", {"username": name, "password": password, "next": ""}, **options)

    return type_them
