"""Services in the admin: their defaults, limits, and the ways to what they own."""

import pytest
from django.urls import reverse

from conversations.models import LateMessagePolicy
from conversations.models.conversation import MAX_PARTICIPANTS
from numbers.assignment.policy import Geography
from numbers.models import Pool
from smsproxy.api.models import ApiKey
from smsproxy.services import forms, models
from smsproxy.services.models import Service

pytestmark = pytest.mark.django_db

ADD = reverse("admin:services_service_add")


def form(**changes):
    names = [*forms.ServiceForm.Meta.fields]
    inline = {"texts-TOTAL_FORMS": "0", "texts-INITIAL_FORMS": "0"}
    return dict.fromkeys(names, "") | {"name": "food"} | inline | changes


def test_staff_create_a_service_with_its_defaults_and_limits(admin_client):
    pool = Pool.objects.create(name="berlin")

    admin_client.post(
        ADD,
        form(
            pool=pool.pk, ttl="3600", geography="any", late_messages="reopen", language="de", new_people_per_day="0"
        ),
    )  # fmt: skip

    service = Service.objects.get(name="food")
    assert (service.pool, service.ttl, service.geography, service.late_messages, service.language) == (
        pool, 3600, "any", "reopen", "de"
    )  # fmt: skip
    assert (service.new_people_per_day, service.creations_per_day) == (0, None)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"geography": "mars"}, "mars is not one of the available choices"),
        ({"late_messages": "ignore"}, "ignore is not one of the available choices"),
        ({"ttl": "59"}, "greater than or equal to 60"),
        ({"ttl": "31622401"}, "less than or equal to 31622400"),
        ({"name": "default"}, "A service of this name exists"),
        ({"new_people_per_minute": "9"}, "at least the 10 people of the largest conversation, found 9"),
        ({"new_people_per_day": "1"}, "at least the 10 people of the largest conversation, found 1"),
        ({"creations_per_day": "-1"}, "greater than or equal to 0"),
    ],
)
def test_a_service_that_makes_no_sense_is_rejected_with_what_was_expected(admin_client, wrong, told):
    answer = admin_client.post(ADD, form(**wrong))

    assert told in answer.content.decode()
    assert Service.objects.count() == 1


def test_the_choices_of_a_service_are_those_of_a_conversation():
    assert list(forms.GEOGRAPHIES) == [each.value for each in sorted(Geography, key=list(forms.GEOGRAPHIES).index)]
    assert set(forms.LATE_MESSAGES) == set(LateMessagePolicy.values)
    assert models._LARGEST_GROUP == MAX_PARTICIPANTS


def test_a_service_links_to_its_keys_and_conversations(admin_client):
    service = Service.objects.create(name="food")
    ours, _ = ApiKey.objects.issue("ours", service=service)
    other, _ = ApiKey.objects.issue("other")

    shown = admin_client.get(reverse("admin:services_service_change", args=[service.pk])).content.decode()

    query = f"?service__id__exact={service.pk}"
    keys = reverse("admin:api_apikey_changelist") + query
    assert f'"{keys}"' in shown
    assert f'"{reverse("admin:conversations_conversation_changelist")}{query}"' in shown
    listed = admin_client.get(keys).content.decode()
    assert (ours.prefix in listed, other.prefix in listed) == (True, False)
    assert admin_client.get(reverse("admin:conversations_conversation_changelist") + query).status_code == 200


@pytest.mark.parametrize("has_key", [True, False])
def test_a_service_with_a_key_and_the_default_service_cannot_be_deleted(admin_client, has_key):
    service = Service.objects.create(name="food")
    if has_key:
        ApiKey.objects.issue("backend", service=service)

    admin_client.post(reverse("admin:services_service_delete", args=[service.pk]), {"post": "yes"})
    default = admin_client.post(reverse("admin:services_service_delete", args=[1]), {"post": "yes"})

    assert default.status_code == 403
    assert Service.objects.filter(name="food").exists() == has_key
