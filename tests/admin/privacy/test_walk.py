"""Every address of the admin, as each group and as nobody: no error, no number of a person and no text."""

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse

from smsproxy.staff.groups import GROUPS, TRUST, make_groups
from tests.admin.privacy.walking import addresses, number_in, readable
from tests.support.populated import METADATA, SECRET, models_of_ours, populate, secrets

pytestmark = pytest.mark.django_db

SUPERUSER, NEWCOMER = "superuser", "without a group"
# Django's own: they need more than a row.
NEVER_OPENED = {"view_on_site", "autocomplete"}
OPEN_TO_NOBODY = {"/admin/login/", "/admin/logout/", "/admin/language/"}


@pytest.fixture
def populated(carrier):
    return populate()


def signed_in(who):
    """Return a client of a new member of staff in this group."""
    client = Client()
    user = User.objects.create_user("walker", is_staff=True, is_superuser=who == SUPERUSER)
    if who in GROUPS:
        make_groups(apps)
        user.groups.add(Group.objects.get(name=who))
    client.force_login(user)
    return client


def walk(client, populated):
    """Yield each address with the status and the text of its answer. An error of ours is raised."""
    for address in addresses(populated):
        answer = client.get(address.url)
        yield address, answer.status_code, readable(answer)


def found_in(text, numbers, texts):
    return [each for each in numbers if number_in(text, each)] + [each for each in texts if each in text]


def test_every_model_of_ours_has_a_row(populated):
    assert [model._meta.label for model in models_of_ours() if not model._default_manager.exists()] == []


def test_the_database_holds_numbers_and_texts_to_look_for(populated):
    numbers, texts = secrets()

    assert len(numbers) == 3
    assert len({text for text in texts if SECRET in text}) > 3


# Seconds, and not marked slow all the same: with each change, every page opens once and shows nothing.
def test_no_page_shows_a_number_or_a_text_to_a_superuser_who_opens_them_all(populated):
    opened, closed = shows_nothing(SUPERUSER, populated)

    # A page that never opens has a parameter that the walk cannot fill: see walking.py.
    assert closed - opened - NEVER_OPENED - {name for name in closed if name.endswith(("_add", "_delete"))} == set()


@pytest.mark.slow
@pytest.mark.parametrize("who", [*GROUPS, NEWCOMER])
def test_no_page_shows_a_number_or_a_text_to_a_group(populated, who):
    opened, _ = shows_nothing(who, populated)

    assert "index" in opened
    assert len(opened) > (0 if who == NEWCOMER else 20)


def shows_nothing(who, populated):
    """Walk as this user. Fail if a page shows a secret. Return the names of the addresses that open, and of others."""
    numbers, texts = secrets()
    opened, closed, shown = set(), set(), {}
    for address, status, text in walk(signed_in(who), populated):
        (opened if status in (200, 302, 405) else closed).add(address.name)
        if found := found_in(text, numbers, texts):
            shown[address.url] = found
    assert shown == {}
    return opened, closed


def test_nobody_is_sent_to_the_sign_in(populated):
    statuses = {}

    for address, status, text in walk(Client(), populated):
        if address.url not in OPEN_TO_NOBODY and not (status == 302 and text.startswith("/admin/login/")):
            statuses[address.url] = status

    assert statuses == {}


@pytest.mark.slow
def test_reveals_show_one_number_and_the_texts_of_one_conversation_and_nothing_more(populated):
    client = signed_in(TRUST)
    for kind, row in (("number", populated.alice), ("texts", populated.conversation)):
        client.post(reverse("admin:reveal", args=[kind, row.pk]), {"reason": "ticket 4711"})
    numbers, texts = secrets()

    pages = {address.url: text for address, _status, text in walk(client, populated)}
    shown = {url: found for url, text in pages.items() if (found := found_in(text, numbers, texts))}

    assert populated.alice.number in shown[page_of(populated.alice)]
    assert METADATA in shown[page_of(populated.conversation)]
    seen = {each for found in shown.values() for each in found}
    assert seen & set(numbers) == {populated.alice.number}
    assert not [each for each in seen if "stranger" in each]
    assert [url for url in shown if url.endswith(("/history/", "_changelist")) or "/auditentry/" in url] == []


def page_of(row):
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
