"""A conversation, and what waits in the inbox, for the tests of its pages."""

import pytest
from django.contrib.auth.models import Permission, User

from tests.support.builders import ALICE, BOB, add_numbers, talk
from tests.support.inbox import free_number

SUPPORT = (
    "view_inboxitem",
    "change_inboxitem",
    "view_conversation",
    "change_conversation",
    "change_outboundmessage",
    "add_block",
    "read_message_text",
)


@pytest.fixture
def conversation(db):
    add_numbers(6)
    return talk(ALICE, BOB, reference="order-17")


@pytest.fixture
def number(conversation):
    return free_number(conversation)


@pytest.fixture
def sign_in(client, db):
    """Return a function that signs in a member of staff with these permissions, by default those of support."""

    def sign_in(name="sam", *permissions):
        user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": True})
        user.user_permissions.set(Permission.objects.filter(codename__in=permissions or SUPPORT))
        client.force_login(user)
        return user

    return sign_in


@pytest.fixture
def support(sign_in):
    return sign_in()
