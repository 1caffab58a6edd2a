"""Staff manage top-up rules and see their results."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
from django.urls import reverse
from django.utils import timezone

from conversations.insight.troubles.kinds import Trouble
from numbers.models import NumberOrder, Pool, TopUp
from numbers.provisioning.top_up import top_up_all
from tests.support.builders import add_numbers
from tests.support.top_ups import add_rule
from tests.support.troubles import active_troubles

pytestmark = pytest.mark.django_db

RULE = {
    "country": "gb",
    "low_threshold": "2",
    "target": "4",
    "monthly_budget": "20.00",
    "max_monthly_cost": "1.50",
    "pool": "",
    "type": "",
}


def page(name, *args):
    return reverse(f"admin:numbers_{name}", args=args)


def test_a_new_rule_buys_nothing_until_staff_enable_it(staff, rentals):
    client = staff("add_topup", "change_topup", "view_topup")

    assert client.post(page("topup_add"), RULE).status_code == 302

    rule = TopUp.objects.get()
    assert (rule.country, rule.is_enabled, rule.monthly_budget) == ("GB", False, Decimal("20.00"))
    top_up_all()
    assert rentals.calls == []
    client.post(page("topup_change", rule.pk), RULE | {"is_enabled": "on"})
    top_up_all()
    assert len(rentals.account) == 4


def test_a_target_below_the_low_water_mark_is_rejected(admin_client):
    answer = admin_client.post(page("topup_add"), RULE | {"target": "1"})

    assert "Expected the low threshold or more." in answer.content.decode()
    assert not TopUp.objects.exists()


def test_a_second_rule_for_the_same_pool_and_country_is_rejected(admin_client):
    add_rule()

    answer = admin_client.post(page("topup_add"), RULE)

    assert "This rule exists: top-up of common, GB. Change that one." in answer.content.decode()
    assert "Constraint" not in answer.content.decode()
    assert TopUp.objects.count() == 1


def test_the_page_names_the_common_pool_and_a_new_rule_shows_no_reserve(admin_client):
    rule = add_rule()

    added = admin_client.get(page("topup_add")).content.decode()
    changed = admin_client.get(page("topup_change", rule.pk)).content.decode()

    assert '<option value="" selected>the common pool</option>' in added
    assert "None" not in added
    assert "In reserve" not in added
    assert '<div class="readonly">common</div>' in changed
    assert "In reserve" in changed


def test_a_changed_rule_is_retried_at_once_and_keeps_the_worker_s_fields(admin_client):
    busy = timezone.now() + timedelta(minutes=5)
    rule = add_rule(retry_at=timezone.now() + timedelta(hours=1), last_error="the budget is used up", busy_until=busy)

    admin_client.post(page("topup_change", rule.pk), RULE | {"is_enabled": "on", "monthly_budget": "30.00"})

    rule.refresh_from_db()
    assert (rule.monthly_budget, rule.retry_at, rule.busy_until) == (Decimal("30.00"), None, busy)
    assert rule.last_error == "the budget is used up"


def test_the_pool_and_country_of_a_rule_cannot_change(admin_client):
    rule = add_rule()
    paris = Pool.objects.create(name="paris")

    admin_client.post(page("topup_change", rule.pk), RULE | {"country": "FR", "pool": paris.pk})

    rule.refresh_from_db()
    assert (rule.country, rule.pool) == ("GB", None)


def test_view_permissions_show_the_reserve_the_trouble_and_the_orders(staff, rentals):
    rule = add_rule(monthly_budget=Decimal("1.25"))
    top_up_all()
    order = NumberOrder.objects.get()
    client = staff("view_topup", "view_numberorder")

    listed = client.get(page("topup_changelist")).content.decode()
    detail = client.get(page("topup_change", rule.pk)).content.decode()
    orders = client.get(page("numberorder_changelist"), {"top_up__id__exact": rule.pk})

    for html in (listed, detail):
        assert "1 of 2 are ours: the budget is used up (EUR 0.00 of EUR 1.25 a month is left)" in html
        assert '<td class="field-in_reserve">1</td>' in html or '<div class="readonly">1</div>' in html
    assert f"?top_up__id__exact={rule.pk}" in detail
    assert list(orders.context["cl"].result_list) == [order]
    assert str(rule) in client.get(page("numberorder_change", order.pk)).content.decode()
    assert client.post(page("topup_change", rule.pk), RULE).status_code == 403
    assert client.get(page("topup_add")).status_code == 403


# Where trouble is reported --------------------------------------------------------------------------------------------


def test_a_failed_top_up_is_reported_by_the_status_and_on_the_first_page(admin_client, rentals, run):
    berlin = Pool.objects.create(name="berlin")
    add_rule(pool=berlin, monthly_budget=Decimal("1.25"))
    top_up_all()
    trouble = "Top-ups that failed to buy: 1. berlin, GB: 1 of 2 are ours: the budget is used up"

    code, output = run("relay", "--status")

    assert code == 1
    assert trouble in output
    assert re.search(r"retries in \d+ min", output)
    assert trouble in active_troubles()[Trouble.TOP_UP]
    html = admin_client.get(reverse("admin:index")).content.decode()
    assert trouble in html
    assert f"{page('topup_changelist')}?last_error__isempty=0" in html
    assert "berlin" in admin_client.get(page("topup_changelist"), {"last_error__isempty": "0"}).content.decode()


def test_a_disabled_rule_that_would_buy_is_reported(run, rentals):
    add_rule(is_enabled=False)
    top_up_all()

    code, output = run("relay", "--status")

    assert code == 1
    assert "common, GB: would buy 2, but is disabled." in output


def test_a_rule_with_enough_reserve_is_no_trouble(run):
    add_numbers(2)
    add_rule()
    top_up_all()

    code, output = run("relay", "--status")

    assert code == 0
    assert "TOP-UPS" not in output
