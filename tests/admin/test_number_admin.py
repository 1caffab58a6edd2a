"""The number pool in the admin: mostly read-only, with real numbers masked."""

import pytest
from django.urls import reverse

from numbers.models import NumberOrder, NumberState, OrderState, PersonEvent, Pool, RealNumber, VirtualNumber
from smsproxy.carriers.base import Feature, NumberType
from smsproxy.staff.models import AuditEntry
from smsproxy.webhook_urls import inbound_sms_url
from tests.support.builders import ALICE, BOB, add_numbers, talk

# Editable fields of a number, and the management form of its event inline.
EDITABLE = {"pool", "is_reserved", "rate"}
NO_EVENTS = {"events-TOTAL_FORMS": 0, "events-INITIAL_FORMS": 0}
MODELS = ["virtualnumber", "numberorder", "realnumber", "numberevent", "orderevent", "personevent"]


@pytest.fixture
def order(db):
    order = NumberOrder.objects.create(country="GB", count=2, features="SMS", pattern_place="anywhere")
    order.record_event(order.state, reason="opened")
    return order


@pytest.fixture
def pool(order):
    rows = add_numbers(3)
    VirtualNumber.objects.filter(pk=rows[0].pk).update(webhook_url=inbound_sms_url(), order=order, monthly_cost="1.25")
    talk(ALICE, BOB)
    RealNumber.objects.first().opt_out(reason="texted STOP")
    for row in rows:
        row.record_event(row.state, reason="for the test")
    return list(VirtualNumber.objects.all())


def page(name, *args):
    prefix = "" if name == "reveal" else "numbers_"
    return reverse(f"admin:{prefix}{name}", args=args)


@pytest.mark.parametrize("model", MODELS)
def test_every_list_and_page_opens_and_no_state_can_be_edited(admin_client, pool, model):
    assert admin_client.get(page(f"{model}_changelist")).status_code == 200
    row = {
        "virtualnumber": pool[0],
        "numberorder": NumberOrder.objects.get(),
        "realnumber": RealNumber.objects.first(),
        "numberevent": pool[0].events.first(),
        "orderevent": NumberOrder.objects.get().events.first(),
        "personevent": PersonEvent.objects.first(),
    }[model]

    detail = admin_client.get(page(f"{model}_change", row.pk))

    assert detail.status_code == 200
    editable = EDITABLE if model == "virtualnumber" else set()
    assert set(detail.context["adminform"].form.fields) == editable
    assert (b'name="_save"' in detail.content) == bool(editable)
    data = {"state": "retired", **NO_EVENTS}
    assert admin_client.post(page(f"{model}_change", row.pk), data).status_code == (302 if editable else 403)
    assert not VirtualNumber.objects.filter(state=NumberState.RETIRED).exists()
    assert admin_client.get(page(f"{model}_add")).status_code == 403
    assert admin_client.post(page(f"{model}_delete", row.pk), {"post": "yes"}).status_code == 403


def test_the_list_of_numbers_shows_live_pairs_webhook_status_and_cost(admin_client, pool):
    rows = admin_client.get(page("virtualnumber_changelist")).context["cl"].result_list

    assert sum(row.live_pair_count for row in rows) == 2
    html = admin_client.get(page("virtualnumber_changelist"), {"q": pool[0].number}).content.decode()
    assert "icon-yes.svg" in html
    assert "1.25" in html


def test_a_list_of_any_length_takes_a_bounded_number_of_queries(admin_client, pool, django_assert_max_num_queries):
    add_numbers(40, start="+4477009006")
    with django_assert_max_num_queries(12):
        admin_client.get(page("virtualnumber_changelist"))


def test_the_list_of_orders_shows_how_many_numbers_are_ours(admin_client, pool, order):
    VirtualNumber.objects.create(number="+447700900600", country="GB", order=order, state=NumberState.ORDERED)
    VirtualNumber.objects.create(number="+447700900601", country="GB", order=order, state=NumberState.RETIRED)

    [row] = admin_client.get(page("numberorder_changelist")).context["cl"].result_list

    assert row.ours == 1


def test_staff_can_abandon_an_order_unless_a_purchase_is_in_progress(admin_client, admin_user, order):
    busy = NumberOrder.objects.create(country="GB", count=2, features="SMS")
    VirtualNumber.objects.create(number="+447700900600", country="GB", order=busy, state=NumberState.ORDERED)

    data = {"action": "abandon", "_selected_action": [order.pk, busy.pk], "reason": "ticket 4711"}
    response = admin_client.post(page("numberorder_changelist"), data, follow=True)

    assert "1 done, 1 refused" in response.content.decode()
    order.refresh_from_db()
    busy.refresh_from_db()
    assert (order.state, busy.state) == (OrderState.ABANDONED, OrderState.OPEN)
    assert order.events.first().actor == admin_user.username


@pytest.mark.parametrize(
    ("action", "state", "expected", "after"),
    [
        ("quarantine", NumberState.ACTIVE, "3 done.", NumberState.QUARANTINED),
        ("drain", NumberState.ACTIVE, "3 done.", NumberState.DRAINING),
        ("drain", NumberState.RETIRED, "0 done, 3 refused", NumberState.RETIRED),
        ("restore", NumberState.DRAINING, "3 done.", NumberState.ACTIVE),
        ("restore", NumberState.QUARANTINED, "3 done.", NumberState.ACTIVE),
        ("restore", NumberState.ACTIVE, "0 done, 3 refused", NumberState.ACTIVE),
        ("restore", NumberState.CONFIGURING, "0 done, 3 refused", NumberState.CONFIGURING),
        ("quarantine", NumberState.RETIRED, "0 done, 3 refused", NumberState.RETIRED),
    ],
)
def test_each_action_changes_the_state_and_reports_the_counts(
    admin_client, admin_user, pool, action, state, expected, after
):
    VirtualNumber.objects.update(state=state, is_rented=state != NumberState.ORDERED)

    data = {"action": action, "reason": "ticket 4711", "_selected_action": [row.pk for row in pool]}
    response = admin_client.post(page("virtualnumber_changelist"), data, follow=True)

    assert expected in response.content.decode()
    assert set(VirtualNumber.objects.values_list("state", flat=True)) == {after}
    if expected.startswith("3"):
        event = pool[0].events.all()[0]
        assert (event.reason, event.actor) == ("ticket 4711", admin_user.username)


def test_many_numbers_are_not_changed_without_a_reason(admin_client, pool):
    data = {"action": "drain", "_selected_action": [row.pk for row in pool]}

    response = admin_client.post(page("virtualnumber_changelist"), data, follow=True)

    assert "Nothing was done. Type a reason" in response.content.decode()
    assert set(VirtualNumber.objects.values_list("state", flat=True)) == {NumberState.ACTIVE}


@pytest.mark.parametrize("action", ["quarantine", "drain", "restore"])
def test_staff_without_the_permission_cannot_run_actions(staff, pool, action):
    client = staff("view_virtualnumber")
    data = {"action": action, "reason": "why", "_selected_action": [row.pk for row in pool]}

    assert client.get(page("virtualnumber_changelist")).status_code == 200
    client.post(page("virtualnumber_changelist"), data)

    assert set(VirtualNumber.objects.values_list("state", flat=True)) == {NumberState.ACTIVE}


def test_a_filter_finds_retired_numbers_that_are_still_rented(admin_client, pool):
    VirtualNumber.objects.update(state=NumberState.RETIRED)
    VirtualNumber.objects.exclude(pk=pool[0].pk).update(is_rented=False)

    found = admin_client.get(page("virtualnumber_changelist"), {"state__exact": "retired", "is_rented__exact": 1})

    assert list(found.context["cl"].result_list) == [pool[0]]


@pytest.mark.parametrize("column", ["pool__id__exact", "is_reserved__exact", "is_rented__exact", "country", "type"])
def test_the_list_of_numbers_can_be_filtered_by_each_column(admin_client, pool, column):
    berlin = Pool.objects.create(name="berlin")
    wanted = VirtualNumber.of(
        "+33700900500",
        "FR",
        NumberType.LANDLINE,
        frozenset({Feature.SMS}),
        state=NumberState.RETIRED,
        pool=berlin,
        is_reserved=True,
    )
    wanted.save()
    value = {"pool__id__exact": berlin.pk, "is_rented__exact": 0, "country": "FR", "type": "landline"}.get(column, 1)

    found = admin_client.get(page("virtualnumber_changelist"), {column: value})

    assert list(found.context["cl"].result_list) == [wanted]


# Editing a number -----------------------------------------------------------------------------------------------------


def test_a_change_on_a_number_page_records_an_event_with_old_and_new_values(admin_client, admin_user, pool):
    berlin = Pool.objects.create(name="berlin")
    number = VirtualNumber.objects.filter(live_pair_count__gt=0).first()

    admin_client.post(
        page("virtualnumber_change", number.pk), {"pool": berlin.pk, "is_reserved": "on", "rate": "2.5", **NO_EVENTS}
    )

    number.refresh_from_db()
    assert (number.pool, number.is_reserved, number.rate, number.live_pair_count) == (berlin, True, 2.5, 1)
    event = number.events.first()
    assert event.reason == "by staff: pool common → berlin, reserved no → yes, rate none → 2.5"
    assert (event.old_state, event.new_state, event.actor) == ("active", "active", admin_user.username)


def test_saving_a_page_without_a_change_records_no_event(admin_client, pool):
    before = pool[1].events.count()

    admin_client.post(page("virtualnumber_change", pool[1].pk), {"pool": "", "rate": "", **NO_EVENTS})

    assert pool[1].events.count() == before


def test_a_concurrent_change_of_another_field_is_kept(admin_client, pool, monkeypatch):
    """Two staff users save the same page, which showed both the same values."""

    def reserve_concurrently(self, *args, **kwargs):
        VirtualNumber.objects.filter(pk=self.pk).update(is_reserved=True, live_pair_count=7)

    monkeypatch.setattr(VirtualNumber, "full_clean", reserve_concurrently)
    admin_client.post(page("virtualnumber_change", pool[2].pk), {"pool": "", "rate": "2.5", **NO_EVENTS})

    pool[2].refresh_from_db()
    assert (pool[2].rate, pool[2].is_reserved, pool[2].live_pair_count) == (2.5, True, 7)


# Real numbers ---------------------------------------------------------------------------------------------------------


def test_a_real_number_is_masked_on_every_page(staff, pool):
    client = staff("view_realnumber")
    alice = RealNumber.objects.with_number(ALICE).get()

    for url in (page("realnumber_changelist"), page("realnumber_change", alice.pk)):
        html = client.get(url).content.decode()
        assert "+44 ••• 01" in html
        assert ALICE not in html
        assert ALICE.removeprefix("+44") not in html
    assert not AuditEntry.objects.exists()


def test_revealing_a_real_number_needs_a_permission_and_leaves_an_audit_entry(staff, pool):
    client = staff("view_realnumber", "reveal_realnumber")
    alice = RealNumber.objects.with_number(ALICE).get()

    assert ALICE not in client.get(page("realnumber_changelist")).text
    assert ALICE not in client.get(page("realnumber_change", alice.pk)).text
    assert not AuditEntry.objects.exists()
    client.post(page("reveal", "number", alice.pk), {"reason": "ticket 4711"})
    assert ALICE in client.get(page("realnumber_change", alice.pk)).text
    entry = AuditEntry.objects.get(action="saw")
    assert (entry.object_id, entry.actor, entry.detail) == (str(alice.pk), "sam", "the number in full")
    assert ALICE not in str(list(AuditEntry.objects.values()))


def test_real_numbers_cannot_be_searched_because_a_search_is_part_of_the_url(admin_client, pool):
    changelist = admin_client.get(page("realnumber_changelist"), {"q": ALICE}, follow=True).context["cl"]

    assert changelist.search_fields == ()


def test_only_reserved_numbers_are_marked_in_the_list(admin_client, db):
    _, reserved = add_numbers(2)
    VirtualNumber.objects.filter(pk=reserved.pk).update(is_reserved=True)

    listed = admin_client.get(page("virtualnumber_changelist")).content.decode()

    assert listed.count('<td class="field-reserved">reserved</td>') == 1
    assert "field-is_reserved" not in listed
