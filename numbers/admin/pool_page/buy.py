"""Buy numbers: what to look for, the carrier's offers with their prices, and the agreement that places an order."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core import signing
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.admin.pool_page.figures import places
from numbers.models import Pool, TopUp
from numbers.models.pool import pool_name
from numbers.provisioning.budget import remaining_budget
from numbers.provisioning.order import OrderSpec
from numbers.provisioning.retry import ShutdownRequested
from numbers.provisioning.staff_order import Offer, carrier_within, find_offers, place
from smsproxy import values
from smsproxy.carriers.base import CarrierError, Feature, NumberType, PatternPosition
from smsproxy.database.deadline import deadline_extended
from smsproxy.staff import audit
from smsproxy.staff.acts import ActForm
from smsproxy.staff.models import AuditAction
from smsproxy.staff.rights import require

RIGHT = "numbers.add_numberorder"
# More at once: manage.py provision_numbers.
MAX_COUNT = 100
# Seconds for which the page waits for offers, and for which offers may be agreed to.
CARRIER_SECONDS = 15.0
OFFERS_VALID = 3600
SALT = "numbers.pool_page.offers"


class SearchForm(forms.Form):
    """What to buy, cleaned to an OrderSpec. The fields have the names and meanings of `manage.py provision_numbers`."""

    pool = forms.ModelChoiceField(
        Pool.objects.all(), label=gettext_lazy("Pool"), required=False, empty_label=pool_name(None)
    )
    country = forms.CharField(
        label=gettext_lazy("Country"), max_length=2, help_text=gettext_lazy("Two letters, such as GB.")
    )
    count = forms.IntegerField(label=gettext_lazy("How many"), min_value=1, max_value=MAX_COUNT, initial=1)
    max_monthly_cost = forms.DecimalField(
        label=gettext_lazy("At most, EUR a month each"),
        required=False,
        min_value=Decimal("0.01"),
        max_digits=6,
        decimal_places=2,
        help_text=gettext_lazy("Empty: any price. Numbers without a price are never offered."),
    )
    type = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        required=False,
        choices=[("", gettext_lazy("Any")), *((each.value, gettext_lazy(each.value)) for each in NumberType)],
    )
    features = forms.MultipleChoiceField(
        label=gettext_lazy("Besides SMS"),
        required=False,
        choices=[(each.value, each.value) for each in Feature if each != Feature.SMS],
        widget=forms.CheckboxSelectMultiple,
    )
    pattern = forms.CharField(
        label=gettext_lazy("Digits in the number"),
        required=False,
        max_length=10,
        help_text=gettext_lazy("With the country code, such as 4477."),
    )
    pattern_place = forms.ChoiceField(
        label=gettext_lazy("Where"),
        required=False,
        choices=[
            (PatternPosition.ANYWHERE.value, gettext_lazy("Anywhere")),
            (PatternPosition.START.value, gettext_lazy("At the start")),
            (PatternPosition.END.value, gettext_lazy("At the end")),
        ],
    )

    def clean_country(self) -> str:
        try:
            return values.country(self.cleaned_data["country"].upper())
        except values.InvalidValue as error:
            raise forms.ValidationError(values.sentence(error)) from None

    def clean_pattern(self) -> str:
        typed: str = self.cleaned_data["pattern"]
        try:
            return values.digits(typed) if typed else ""
        except values.InvalidValue as error:
            raise forms.ValidationError(values.sentence(error)) from None

    @property
    def spec(self) -> OrderSpec:
        data = self.cleaned_data
        return OrderSpec(
            country=data["country"],
            count=data["count"],
            features=frozenset({Feature.SMS, *map(Feature, data["features"])}),
            type=NumberType(data["type"]) if data["type"] else None,
            pattern=data["pattern"],
            pattern_place=PatternPosition(data["pattern_place"] or PatternPosition.ANYWHERE),
            max_monthly_cost=data["max_monthly_cost"],
            pool=data["pool"],
        )


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What staff were shown. The form carries it signed, so that they agree to nothing else. query: of the search."""

    token: UUID
    query: str
    offers: list[Offer]

    @property
    def total(self) -> Decimal:
        return sum((each.monthly_cost for each in self.offers), Decimal(0))

    @property
    def highest(self) -> Decimal:
        return max(each.monthly_cost for each in self.offers)

    @property
    def signed(self) -> str:
        offers = [[each.number, each.type, str(each.monthly_cost)] for each in self.offers]
        return signing.dumps([self.token.hex, self.query, offers], salt=SALT, compress=True)

    @classmethod
    def loads(cls, signed: str) -> "Agreement":
        """Return the agreement that the form carries. Raises signing.BadSignature, also if it is too old."""
        token, query, offers = signing.loads(signed, salt=SALT, max_age=OFFERS_VALID)
        rows = [Offer(number=number, type=kind, monthly_cost=Decimal(cost)) for number, kind, cost in offers]
        return cls(token=UUID(token), query=query, offers=rows)


def buy_view(request: HttpRequest, site: AdminSite) -> HttpResponse:
    """Ask what to buy (GET), show the offers (GET with a query), or place the order (POST)."""
    require(request, RIGHT)
    if request.method == "POST":
        return _agree(request, site)
    asked = "country" in request.GET
    form = SearchForm(request.GET if asked else None, initial=_initial())
    agreement = None
    if asked and form.is_valid():
        try:
            with deadline_extended(seconds=2 * CARRIER_SECONDS), carrier_within(CARRIER_SECONDS):
                offers = find_offers(form.spec)
        except (CarrierError, ShutdownRequested) as error:
            why = getattr(error, "detail", "") or _("no answer in time")
            messages.error(request, _("The carrier's offers are not known: %s. Try again in a minute.") % why)
        else:
            agreement = Agreement(token=uuid4(), query=request.GET.urlencode(), offers=offers)
    return _page(request, site, form, agreement, ActForm())


def _agree(request: HttpRequest, site: AdminSite) -> HttpResponse:
    try:
        agreement = Agreement.loads(request.POST.get("agreement", ""))
    except signing.BadSignature:
        messages.error(request, _("Nothing was bought: the offers are too old. Look for offers again."))
        return HttpResponseRedirect(reverse("admin:pool_buy"))
    form = SearchForm(QueryDict(agreement.query))
    reason = ActForm(request.POST)
    if not form.is_valid() or not agreement.offers:
        messages.error(request, _("Nothing was bought: the search is not valid any more. Look for offers again."))
        return HttpResponseRedirect(reverse("admin:pool_buy"))
    if not reason.is_valid():
        return _page(request, site, form, agreement, reason)
    why, actor = reason.cleaned_data["reason"], request.user.get_username()
    with transaction.atomic():
        order, is_new = place(form.spec, agreement.offers, token=agreement.token, reason=why, actor=actor)
        if is_new:
            detail = f"ordered {order.count} numbers, at most EUR {order.agreed_total} a month"
            audit.record(request, AuditAction.DID, order, detail=detail, reason=why)
    if is_new:
        messages.success(request, _("Ordered. A worker buys the numbers now."))
    else:
        messages.info(request, _("This was ordered already. Nothing more is bought."))
    return HttpResponseRedirect(reverse("admin:pool_order", args=[order.pk]))


def _page(
    request: HttpRequest, site: AdminSite, form: SearchForm, agreement: Agreement | None, reason: ActForm
) -> HttpResponse:
    context: dict[str, Any] = {
        "title": _("Buy numbers"),
        "form": form,
        "agreement": agreement,
        "reason_form": reason,
        "asked": form.spec if agreement else None,
        **(_money(form.spec, agreement) if agreement and agreement.offers else {}),
    }
    return TemplateResponse(request, "admin/pool_page/buy.html", {**site.each_context(request), **context})


def _money(spec: OrderSpec, agreement: Agreement) -> dict[str, Any]:
    """Return what staff must know about the cost before they agree."""
    here = [place for place in places() if (place.pool, place.country) == (spec.pool, spec.country)]
    rent = sum((place.rent for place in here), Decimal(0))
    rule = TopUp.objects.filter(pool=spec.pool, country=spec.country).first()
    return {
        "rent_now": rent,
        "rent_then": rent + agreement.total,
        "rule": rule,
        "rule_left": remaining_budget(rule) if rule else None,
        "daily_budget": settings.DAILY_BUDGET,
        "missing": spec.count - len(agreement.offers),
    }


def _initial() -> dict[str, Any]:
    """Return the first values: the country that most numbers have."""
    found = max(places(), key=lambda place: place.counts["active"], default=None)
    return {"country": found.country if found else "", "pattern_place": PatternPosition.ANYWHERE.value}
