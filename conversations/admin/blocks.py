"""Blocks for staff, who create and end them. A number is typed into a form that is posted, never into a URL."""

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.admin.person import acts
from conversations.models import Block
from conversations.trust.blocks import (
    REASON_LENGTH,
    AlreadyBlocked,
    CannotBlock,
    block_pair,
    block_person,
    block_prefix,
    checked_prefix,
    checked_reason,
    checked_until,
    reach,
)
from numbers.admin.find_person import CallerNumberField
from numbers.models import RealNumber, VirtualNumber
from smsproxy.crypto import number_hash
from smsproxy.services.models import Service
from smsproxy.staff.model_admin import ReadOnlyAdmin
from smsproxy.staff.rights import require
from smsproxy.values import id_in_url, sentence

# Whom a prefix covers tells how their number begins, so prefixes are for those who may see numbers.
PREFIX_RIGHT = "numbers.reveal_realnumber"


def block_url(person_id: int, other_id: int | None = None) -> str:
    """Return the URL of the form that blocks this person, or this pair. The ids are ours, not numbers."""
    query = {"person": person_id} | ({"other": other_id} if other_id else {})
    return f"{reverse('admin:conversations_block_add')}?{urlencode(query)}"


def without_block_links(request: HttpRequest, fields: Sequence[Any]) -> list[Any]:
    """Return the fields without the links to the form, for staff who may not block."""
    may_block = request.user.has_perm("conversations.add_block")
    return [field for field in fields if field != "blocks" or may_block]


class BlockForm(forms.ModelForm):
    """A new block: of a person by their number or by a link's id, of a pair, or of a prefix."""

    person = forms.ModelChoiceField(RealNumber.objects.all(), required=False, widget=forms.HiddenInput)
    other = forms.ModelChoiceField(RealNumber.objects.all(), required=False, widget=forms.HiddenInput)
    number = CallerNumberField(
        required=False,
        label=gettext_lazy("Person"),
        help_text=gettext_lazy("The person's whole number, in any spelling."),
    )
    other_number = CallerNumberField(
        required=False,
        label=gettext_lazy("Towards"),
        help_text=gettext_lazy(
            "The number of the other person of a pair. Empty: the person is blocked towards everybody."
        ),
    )
    prefix = forms.CharField(  # type: ignore[assignment]  # forms have an attribute of that name
        label=gettext_lazy("prefix"),
        required=False,
        max_length=20,
        help_text=gettext_lazy("Instead of a person: the beginning of numbers, such as +88213."),
    )
    accept_wide = forms.BooleanField(
        required=False,
        label=gettext_lazy("Whole countries"),
        help_text=gettext_lazy("Confirms a prefix that covers most of a country."),
    )
    reason = forms.CharField(
        label=gettext_lazy("reason"),
        max_length=REASON_LENGTH,
        widget=forms.TextInput({"class": "vTextField"}),
        help_text=gettext_lazy("In words, without phone numbers and texts."),
    )
    service = forms.ModelChoiceField(
        Service.objects.all(),
        label=gettext_lazy("service"),
        required=False,
        empty_label=gettext_lazy("every service"),
        help_text=gettext_lazy("The service whose conversations the block concerns."),
    )
    until = forms.SplitDateTimeField(
        label=gettext_lazy("until"),
        required=False,
        widget=AdminSplitDateTime,
        help_text=gettext_lazy("UTC. Empty: until somebody ends it."),
    )

    class Meta:
        model = Block
        fields: Sequence[str] = []

    def clean_number(self) -> str:
        return self._one_of(self.cleaned_data["number"])

    def clean_other_number(self) -> str:
        return self._one_of(self.cleaned_data["other_number"])

    def clean_reason(self) -> Any:
        return self._checked(lambda: checked_reason(self.cleaned_data["reason"]))

    def clean_until(self) -> Any:
        return self._checked(lambda: checked_until(self.cleaned_data["until"]))

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = self.cleaned_data
        has_person = bool(data.get("person") or data.get("number"))
        has_prefix = bool(data.get("prefix"))
        if not self.errors and has_person == has_prefix:
            raise forms.ValidationError(_("Expected a person or a prefix: one of the two."))
        if data.get("person") and data.get("number"):
            self.add_error("number", _("Expected no number: the person was chosen by the link."))
        if data.get("other") and data.get("other_number"):
            self.add_error("other_number", _("Expected no number: the other person was chosen by the link."))
        self._refuse_virtual_numbers()
        one, other = self._hash("person", "number"), self._hash("other", "other_number")
        if other and one == other:
            self.add_error("other_number", _("Expected two people, found one twice."))
        if has_prefix and (data.get("other") or data.get("other_number")):
            self.add_error("other_number", _("Expected no other person: a prefix is blocked towards everybody."))
        if has_prefix and "prefix" not in self.errors:
            try:
                data["prefix"] = checked_prefix(data["prefix"], accept_wide=data["accept_wide"])
            except CannotBlock as error:
                self.add_error("prefix", sentence(error))
        return data

    def block(self, actor: str) -> Block:
        """Create the block."""
        data = self.cleaned_data
        service_id = data["service"].pk if data["service"] else None
        options = {"reason": data["reason"], "until": data["until"], "actor": actor, "service_id": service_id}
        if data["prefix"]:
            return block_prefix(data["prefix"], accept_wide=data["accept_wide"], **options)
        typed = RealNumber.objects.get_or_create_many(filter(None, [data["number"], data["other_number"]]))
        person = data["person"] or typed[data["number"]]
        other = data["other"] or typed.get(data["other_number"])
        return block_pair(person, other, **options) if other else block_person(person, **options)

    @staticmethod
    def _one_of(numbers: Sequence[str]) -> str:
        """Return the number that was typed, or "". Of several that it may be, the one of a person whom we know."""
        known = RealNumber.objects.by_number(numbers) if len(numbers) > 1 else {}
        if len(numbers) > 1 and len({row.pk for row in known.values()}) != 1:
            raise forms.ValidationError(_("Expected the number with its country code: it may be one of several."))
        return next(iter(known or numbers), "")

    def _hash(self, linked: str, typed: str) -> str:
        """Return the hash of the person in these two fields, or "". Two spellings of a number have one hash."""
        data = self.cleaned_data
        if data.get(linked):
            found: str = data[linked].number_hash
            return found
        return number_hash(data[typed]) if data.get(typed) else ""

    def _refuse_virtual_numbers(self) -> None:
        """A person who complains knows the proxy number only, and staff may take it for that of the other person."""
        typed = {name: self.cleaned_data.get(name) for name in ("number", "other_number")}
        ours = VirtualNumber.objects.rented_or_ordered().by_number(filter(None, typed.values()))
        for name, number in typed.items():
            if number in ours:
                self.add_error(name, _("Expected a person's own number, found one of our virtual numbers."))

    def _post_clean(self) -> None:
        """Leave the empty instance as it is: the use case creates the row."""

    @staticmethod
    def _checked(check: Callable[[], Any]) -> Any:
        try:
            return check()
        except CannotBlock as error:
            raise forms.ValidationError(sentence(error)) from None


def _chosen(request: HttpRequest) -> str:
    """Describe the people that a link has chosen, with masked numbers."""
    given = [id_in_url(request.GET.get(name, "")) for name in ("person", "other")]
    ids = [pk for pk in given if pk is not None]
    people = RealNumber.objects.in_bulk(ids)
    shown = [str(people[pk]) for pk in ids if pk in people]
    if not shown and request.user.has_perm(PREFIX_RIGHT):
        return _("Block a person by their number, two people towards each other, or all numbers with a prefix.")
    if not shown:
        return _("Block a person by their number, or two people towards each other.")
    if len(shown) > 1:
        said = _("Block %(person)s and %(other)s towards each other.") % {"person": shown[0], "other": shown[1]}
    else:
        said = _("Block %(person)s towards everybody.") % {"person": shown[0]}
    return said + " " + _("Their messages are stored and not passed on, and queued ones are cancelled.")


class ActiveFilter(admin.SimpleListFilter):
    """Blocks that apply now, or have ended."""

    title = gettext_lazy("active")
    parameter_name = "active"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", _("Yes")), ("no", _("No"))]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Block]") -> "QuerySet[Block]":
        if self.value() not in ("yes", "no"):
            return queryset
        active = Q(pk__in=Block.objects.active())
        return queryset.filter(active if self.value() == "yes" else ~active)


class ServiceFilter(admin.SimpleListFilter):
    """Blocks of one service, or those of every service."""

    title = gettext_lazy("service")
    parameter_name = "service"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("every", _("every service")),
            *((str(service.pk), service.name) for service in Service.objects.all()),
        ]

    def queryset(self, request: HttpRequest, queryset: "QuerySet[Block]") -> "QuerySet[Block]":
        value = self.value() or ""
        if value == "every":
            return queryset.filter(service=None)
        service = id_in_url(value)
        return queryset.filter(service=service) if service is not None else queryset


@admin.register(Block)
class BlockAdmin(ReadOnlyAdmin):
    list_display = [
        "__str__",
        "person",
        "other",
        "prefix",
        "concerns",
        "is_active",
        "reason",
        "created_by",
        "created_at",
        "until",
        "ended_at",
        "ended_by",
        "ended_reason",
    ]
    list_filter = [ActiveFilter, ServiceFilter, "created_at", "until"]
    list_select_related = ["person", "other", "service"]
    search_fields = ["reason", "created_by"]
    search_help_text = gettext_lazy("By reason or member of staff. Real numbers are not searched: the search is a URL.")
    actions = ["end"]
    form = BlockForm

    def get_urls(self) -> list[URLPattern]:
        return [*acts.urls(self.admin_site), *super().get_urls()]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("conversations.add_block")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is not None:
            return self.list_display[1:]
        typed = [] if "person" in request.GET else ["number", "other_number"]
        prefixes = ["prefix", "accept_wide"] if typed and request.user.has_perm(PREFIX_RIGHT) else []
        return [*typed, *prefixes, "service", "reason", "until", "person", "other"]

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show whom a link has chosen, masked."""
        chosen = {} if obj else {"description": _chosen(request)}
        return [(None, {"fields": self.get_fields(request, obj)} | chosen)]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if request.POST.get("prefix"):
            require(request, PREFIX_RIGHT)
        try:
            return super().add_view(request, form_url, extra_context)
        except AlreadyBlocked as error:
            messages.error(request, sentence(error))
            return self.response_post_save_add(request, error.block)

    def response_add(self, request: HttpRequest, obj: Block, post_url_continue: Any = None) -> HttpResponse:
        names = {"name": obj.person or obj.prefix, "other": obj.other}
        is_pair = obj.other is not None
        told = _("%(name)s and %(other)s are blocked towards each other.") if is_pair else _("%(name)s is blocked.")
        messages.success(request, told % names)
        if "_addanother" in request.POST:
            return HttpResponseRedirect(request.path)
        return self.response_post_save_add(request, obj)

    def save_model(self, request: HttpRequest, obj: Block, form: Any, change: bool) -> None:
        block = form.block(request.user.get_username())
        obj.pk = block.pk
        obj.refresh_from_db()
        if block.prefix:
            about = {"prefix": block.prefix, "countries": reach(block.prefix)}
            messages.info(request, _("%(prefix)s begins the numbers of %(countries)s.") % about)

    @admin.display(description=gettext_lazy("service"))
    def concerns(self, block: Block) -> str:
        return str(block.service or _("every service"))

    @admin.display(boolean=True, description=gettext_lazy("active"))
    def is_active(self, block: Block) -> bool:
        return block.is_active

    @admin.action(description=gettext_lazy("End the block"), permissions=["change_state"])
    def end(self, request: HttpRequest, queryset: "QuerySet[Block]") -> None:
        self.apply_with_reason(request, queryset, lambda block, reason, actor: block.end(reason=reason, actor=actor))
