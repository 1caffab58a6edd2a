"""Pools and shortages in the admin: permissions, protected fields, and masked real numbers."""

from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.urls import reverse
from django.utils import timezone

from numbers.models import NumberOrder, Pool, RealNumber, Shortage, ShortageCount, VirtualNumber
from tests.support.builders import ALICE, BOB, add_numbers, talk


@pytest.fixture
def berlin(db):
    return Pool.objects.create(name="berlin")


def page(name, *args):
    return reverse(f"admin:numbers_{name}", args=args)


# Pools ----------------------------------------------------------------------------------------------------------------


def test_staff_can_create_a_pool_with_its_own_cool_down_and_cap(admin_client, settings):
    data = {"name": "berlin", "cool_down": settings.MIN_COOL_DOWN_SECONDS + 1, "number_cap": 50}

    admin_client.post(page("pool_add"), data)

    pool = Pool.objects.get()
    assert (pool.name, pool.cool_down, pool.number_cap) == ("berlin", settings.MIN_COOL_DOWN_SECONDS + 1, 50)


@pytest.mark.parametrize(
    ("field", "value"),
    [("name", "Berlin, East"), ("name", "=1+1"), ("number_cap", "0"), ("cool_down", "60"), ("cool_down", "-1")],
)
def test_an_invalid_pool_is_rejected(admin_client, db, field, value):
    answer = admin_client.post(page("pool_add"), {"name": "berlin", field: value})

    assert field in answer.context["adminform"].form.errors
    assert not Pool.objects.exists()


def test_the_name_of_a_pool_cannot_change_because_requests_use_it(admin_client, berlin):
    admin_client.post(page("pool_change", berlin.pk), {"name": "paris", "cool_down": "", "number_cap": "5"})

    berlin.refresh_from_db()
    assert (berlin.name, berlin.number_cap) == ("berlin", 5)


def test_a_pool_with_only_shortage_counts_can_be_deleted(admin_client, berlin):
    ShortageCount.objects.add_one(berlin, "GB")

    assert admin_client.post(page("pool_delete", berlin.pk), {"post": "yes"}).status_code == 302

    assert not Pool.objects.exists()


def test_an_unused_pool_can_be_deleted(admin_client, berlin):
    admin_client.post(page("pool_delete", berlin.pk), {"post": "yes"})

    assert not Pool.objects.exists()


def with_a_number(pool):
    VirtualNumber.objects.filter(pk=add_numbers(1)[0].pk).update(pool=pool)


def with_an_order(pool):
    NumberOrder.objects.create(pool=pool, country="GB", count=1, features="SMS", pattern_place="anywhere")


def with_a_shortage(pool):
    Shortage.objects.create(pool=pool, eligible_count=0, in_use=0, needed=1, reason="for the test")


def with_a_conversation(pool):
    add_numbers(2)
    conversation = talk(ALICE, BOB)
    conversation.pool = pool
    conversation.save(update_fields=["pool"])


@pytest.mark.parametrize("refer", [with_a_number, with_an_order, with_a_shortage, with_a_conversation])
def test_a_pool_in_use_cannot_be_deleted(admin_client, berlin, refer):
    refer(berlin)

    assert admin_client.post(page("pool_delete", berlin.pk), {"post": "yes"}).status_code == 403
    data = {"action": "delete_selected", "_selected_action": berlin.pk, "post": "yes"}
    admin_client.post(page("pool_changelist"), data)

    assert Pool.objects.get() == berlin
    assert b"deletelink" not in admin_client.get(page("pool_change", berlin.pk)).content


def test_the_list_of_pools_shows_rented_numbers_and_live_pairs(admin_client, berlin):
    Pool.objects.create(name="paris")
    for row, is_rented, live in zip(add_numbers(3), [True, True, False], [2, 3, 0], strict=True):
        state = "active" if is_rented else "retired"
        VirtualNumber.objects.filter(pk=row.pk).update(
            pool=berlin, is_rented=is_rented, live_pair_count=live, state=state
        )

    rows = admin_client.get(page("pool_changelist")).context["cl"].result_list

    assert [(row.name, row.ours, row.live) for row in rows] == [("berlin", 2, 5), ("paris", 0, 0)]


def test_the_view_permission_allows_no_change_of_a_pool(staff, berlin):
    client = staff("view_pool")

    assert client.get(page("pool_change", berlin.pk)).status_code == 200
    assert client.post(page("pool_add"), {"name": "paris"}).status_code == 403
    assert client.post(page("pool_change", berlin.pk), {"number_cap": "5"}).status_code == 403
    assert client.post(page("pool_delete", berlin.pk), {"post": "yes"}).status_code == 403


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("query", ["q=%00", "p=" + "9" * 30, "o=9.9"])
def test_an_invalid_query_of_the_list_of_pools_is_not_a_500(admin_client, query):
    assert admin_client.get(f"{page('pool_changelist')}?{query}", follow=True).status_code == 200


# Shortages ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def shortage(berlin):
    alice = RealNumber.objects.get_or_create_many([ALICE])[ALICE]
    return Shortage.objects.create(
        pool=berlin,
        country="GB",
        real_number=alice,
        eligible_count=3,
        in_use=3,
        needed=4,
        next_release_at=timezone.now() + timedelta(hours=1),
        reason="every number that can serve them is taken",
    )


def test_a_shortage_shows_the_real_number_masked(admin_client, shortage):
    for address in (page("shortage_changelist"), page("shortage_change", shortage.pk)):
        html = admin_client.get(address).content.decode()
        assert "berlin" in html
        assert "+44 ••• 01" in html
        assert ALICE not in html
        assert ALICE.removeprefix("+44") not in html
    assert "every number that can serve them is taken" in html


def test_a_shortage_is_read_only(admin_client, shortage):
    assert b'name="_save"' not in admin_client.get(page("shortage_change", shortage.pk)).content
    assert admin_client.post(page("shortage_change", shortage.pk), {"reason": "x"}).status_code == 403
    assert admin_client.post(page("shortage_delete", shortage.pk), {"post": "yes"}).status_code == 403
    assert admin_client.get(page("shortage_add")).status_code == 403


def test_shortages_cannot_be_searched_because_a_search_is_part_of_the_url(admin_client, shortage):
    assert admin_client.get(page("shortage_changelist"), {"q": "order-17"}).context["cl"].search_fields == ()


def test_a_list_of_shortages_of_any_length_takes_a_bounded_number_of_queries(
    admin_client, shortage, django_assert_max_num_queries
):
    for _ in range(20):
        shortage.pk = None
        shortage.save(force_insert=True)

    with django_assert_max_num_queries(12):
        admin_client.get(page("shortage_changelist"))


def test_the_first_page_links_to_shortages_and_retired_numbers(admin_client, shortage):
    [number] = add_numbers(1)
    number.retire(reason="for the test")

    html = admin_client.get(reverse("admin:index")).content.decode()

    retired = f"{page('virtualnumber_changelist')}?state__exact=retired&is_rented__exact=1"
    assert f'href="{page("shortage_changelist")}">Conversations without a free number' in html
    assert f'href="{retired.replace("&", "&amp;")}">Retired numbers that are still rented: 1' in html
    assert list(admin_client.get(retired).context["cl"].result_list) == [number]


def test_the_first_page_hides_shortages_from_staff_without_the_permission(staff, shortage):
    assert "no number free" not in staff("view_virtualnumber").get(reverse("admin:index")).content.decode()


def test_the_database_check_names_pools_whose_cool_down_is_too_short_for_the_settings(db, settings):
    for name, cool_down in [("berlin", settings.MIN_COOL_DOWN_SECONDS), ("paris", None)]:
        Pool.objects.create(name=name, cool_down=cool_down)
    Pool.objects.create(name="rome", cool_down=settings.MIN_COOL_DOWN_SECONDS + 1)

    [warning] = [each for each in run_checks(databases=["default"]) if each.id == "numbers.W001"]

    assert "the pool berlin is too short" in warning.msg
    assert f"more than {settings.MIN_COOL_DOWN_SECONDS} seconds" in str(warning.hint)
    assert not [each for each in run_checks() if each.id == "numbers.W001"]


def test_a_pools_cool_down_is_longer_than_the_age_of_the_oldest_webhook(admin_client, settings):
    settings.MIN_COOL_DOWN_SECONDS = settings.WEBHOOK_MAX_AGE_SECONDS

    answer = admin_client.post(
        page("pool_add"), {"name": "berlin", "cool_down": settings.WEBHOOK_MAX_AGE_SECONDS, "number_cap": ""}
    )

    assert "the longer of WEBHOOK_MAX_AGE_SECONDS" in answer.text
    assert not Pool.objects.exists()
