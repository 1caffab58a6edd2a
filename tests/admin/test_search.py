"""The search of the admin: whole phone numbers are compared by their hash."""

import pytest
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from smsproxy.staff.model_admin import GuardedList, split_numbers
from tests.support.builders import ALICE, BOB, add_numbers, proxies, talk

SEARCHABLE = [
    model._meta.label_lower.replace(".", "_")
    for model, page in admin.site._registry.items()
    if page.search_fields and isinstance(page, GuardedList) and not page.has_invented_numbers
]
ID = "ab123456-7890-4a52-b123-447700900001"


@pytest.fixture
def talked(admin_client):
    add_numbers(2)
    return talk(ALICE, BOB, reference="ride-43", notify=True)


def found(client, model, search):
    return client.get(reverse(f"admin:{model}_changelist"), {"q": search}).context["cl"].result_count


@pytest.mark.parametrize(
    ("search", "words", "numbers"),
    [
        ("+447700900001", "", ["+447700900001"]),
        ("447700900001", "", ["+447700900001"]),
        ("+44 (7700) 900-001", "", ["+447700900001"]),
        ("id447700900001-", "id -", ["+447700900001"]),
        ("07700 900001 ride", "ride", ["+07700900001"]),
        ("+447700900001 +447700900002", "", ["+447700900001", "+447700900002"]),
        ("447700900001 447700900002", "", ["+447700900001", "+447700900002"]),
        ("+1212555", "+1212555", []),
        ("ride-43 20261128", "ride-43 20261128", []),
        (ID, ID, []),
        ("0c12345678904a52a0b1447700900001", "0c12345678904a52a0b1447700900001", []),
        ("0A0000000123ABCD", "0A0000000123ABCD", []),
        ("1234567890123456", "1234567890123456", []),
        ("+44_7700_900077", "", ["+447700900077"]),
        ("+44*7700*900077", "", ["+447700900077"]),
        ("+44 / 7700 / 900077", "", ["+447700900077"]),
        ("07700,900,077", "", ["+07700900077"]),
        ("07700’900’077", "", ["+07700900077"]),
        ("07700|900077", "", ["+07700900077"]),
        ("Anna ٠٧٧٠٠٩٠٠٠٧٧", "Anna", ["+07700900077"]),
        ("０７７００ ９０００７７", "", ["+07700900077"]),
        ("07700 900001, 07700 900002", "", ["+0770090000107700900002"]),
        ("ﬁrst ride", "ﬁrst ride", []),
    ],
)
def test_whole_phone_numbers_are_told_from_other_words(search, words, numbers):
    assert split_numbers(search) == (words, numbers)


@pytest.mark.parametrize("model", SEARCHABLE)
@pytest.mark.parametrize("search", [ALICE, ALICE[1:], "+44 7700 900001"])
def test_no_search_puts_a_whole_number_into_a_statement(talked, admin_client, model, search):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = admin_client.get(reverse(f"admin:{model}_changelist"), {"q": search})

    assert answer.status_code == 302
    assert not [query["sql"] for query in queries if "900001" in query["sql"].replace(" ", "")]


@pytest.mark.parametrize("model", [*SEARCHABLE, "numbers_realnumber", "auth_user"])
def test_no_list_keeps_a_persons_number_in_its_address(talked, admin_client, model):
    url = reverse(f"admin:{model}_changelist")

    answer = admin_client.get(url, {"q": ALICE, "o": "1"})

    assert answer.url == f"{url}?o=1"
    page = admin_client.get(answer.url).content.decode()
    assert "Nothing here has this phone number" in page
    assert "900001" not in page


@pytest.mark.parametrize("spelling", ["{}", "{}  ride-43"])
def test_a_virtual_number_is_found_by_all_its_digits_and_by_some(talked, admin_client, spelling):
    number = proxies(talked)[0]

    assert found(admin_client, "conversations_conversation", spelling.format(number)) == 1
    assert found(admin_client, "conversations_conversation", spelling.format(number[1:])) == 1
    assert found(admin_client, "conversations_conversation", spelling.format(number[:7])) == 1
    assert found(admin_client, "conversations_participant", spelling.format(number)) == 1
    nothing = admin_client.get(reverse("admin:conversations_conversation_changelist"), {"q": f"{number} something"})
    assert nothing.status_code == 302
    assert found(admin_client, "conversations_conversation", str(talked.public_id)) == 1
