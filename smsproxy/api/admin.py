"""API keys for staff: create, rotate and revoke them. The text of a new key is shown on one page and never stored."""

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from smsproxy.api.models import DEFAULT_OVERLAP, ApiKey, IdempotencyRecord
from smsproxy.api.scopes import DEFAULT_SCOPES, Scope, join_scopes
from smsproxy.staff import audit
from smsproxy.staff.model_admin import ReadOnlyAdmin
from smsproxy.staff.models import AuditAction
from smsproxy.states import StaleState

OVERLAPS = {
    "0": gettext_lazy("not at all: it ends now"),
    "24": gettext_lazy("for a day"),
    str(7 * 24): gettext_lazy("for 7 days"),
    str(30 * 24): gettext_lazy("for 30 days"),
}


class NewKeyForm(forms.ModelForm):
    """A new key, without its text."""

    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("scopes"),
        choices=[
            (Scope.READ, gettext_lazy("read: every request that changes nothing")),
            (Scope.WRITE, gettext_lazy("write: every request that changes something")),
            (Scope.NUMBERS, gettext_lazy("numbers: events of virtual numbers and troubles, of every service")),
        ],
        initial=DEFAULT_SCOPES.split(),
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": gettext_lazy("Expected at least one scope.")},
    )

    class Meta:
        model = ApiKey
        fields: ClassVar = ["name", "service", "scopes", "requests_per_minute", "expires_at"]

    def clean_scopes(self) -> str:
        return join_scopes(self.cleaned_data["scopes"])

    def clean_expires_at(self) -> Any:
        expires_at = self.cleaned_data["expires_at"]
        if expires_at is not None and expires_at <= timezone.now():
            raise ValidationError(_("Expected a time in the future, or nothing for a key that does not expire."))
        return expires_at

    def clean(self) -> dict[str, Any]:
        """Check the name. Django leaves out this constraint, since the form lacks fields of its condition."""
        found: dict[str, Any] = super().clean() or self.cleaned_data
        if ApiKey.objects.current().filter(service=found.get("service"), name=found.get("name")).exists():
            self.add_error("name", _("A key of this name exists. Choose another name, or rotate that key."))
        return found


class RotateForm(forms.Form):
    overlap = forms.TypedChoiceField(
        label=gettext_lazy("The existing key works on"),
        choices=list(OVERLAPS.items()),
        initial=str(int(DEFAULT_OVERLAP.total_seconds()) // 3600),
        coerce=lambda hours: timedelta(hours=int(hours)),
    )


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
    """List, create, rotate and revoke API keys."""

    list_display = ["name", "service", "prefix", "scopes", "created_at", "last_used_at", "expires_at", "status"]
    list_filter = ["service", ("revoked_at", admin.EmptyFieldListFilter), ("expires_at", admin.EmptyFieldListFilter)]
    list_select_related = ["service"]
    search_fields = ["name", "prefix"]
    actions = ["revoke"]
    change_form_template = "admin/api/apikey/key.html"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("api.add_apikey")

    def get_urls(self) -> list[URLPattern]:
        rotate = self.admin_site.admin_view(self.rotate_view)
        return [path("<int:pk>/rotate/", rotate, name="api_apikey_rotate"), *super().get_urls()]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        asked = list(NewKeyForm.Meta.fields)
        if obj is None:
            return asked
        return [*asked, "prefix", "status", "created_at", "last_used_at", "rotated_at", "revoked_at"]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        if obj is None:
            kwargs["form"] = NewKeyForm
        return super().get_form(request, obj, change, **kwargs)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ["status", "last_used_at", "rotated_at"] if obj else []

    @admin.display(description=gettext_lazy("status"))
    def status(self, key: ApiKey) -> str:
        return str(key.status(timezone.now()).label)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        obj.text = obj.generate()  # Only this object has it, and only until the answer.
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: Any = None) -> HttpResponse:
        """Show the new key. The page is the answer to the form, so that no session or URL holds the key."""
        return self._show(request, obj, obj.text)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        # The page after a creation shows the key, whichever button was used.
        context |= {"show_save_and_add_another": False, "show_save_and_continue": False}
        context |= {"may_rotate": self._may_rotate(request)}
        return super().render_change_form(request, context, *args, **kwargs)

    def rotate_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for the overlap, and show the new key."""
        if not self._may_rotate(request):
            raise PermissionDenied
        key: ApiKey | None = self.get_object(request, str(pk))
        if key is None:
            raise Http404
        form = RotateForm(request.POST or None)
        if form.is_valid():
            try:
                new, text = self._rotate(request, key, form.cleaned_data["overlap"])
            except StaleState:
                form.add_error(None, _("Nothing was changed: the key is revoked, or a newer key has its name."))
            else:
                return self._show(request, new, text)
        context = {"title": _("Rotate the key"), "opts": self.opts, "key": key, "form": form}
        template = "admin/api/apikey/rotate.html"
        return TemplateResponse(request, template, self.admin_site.each_context(request) | context)

    def _rotate(self, request: HttpRequest, key: ApiKey, overlap: timedelta) -> tuple[ApiKey, str]:
        with transaction.atomic():
            new, text = key.rotate(overlap=overlap)
            key.refresh_from_db()
            expires_at = f"expires at {key.expires_at:%Y-%m-%d %H:%M} UTC"
            audit.record(request, AuditAction.DID, key, detail=f"rotate, {expires_at}")
            audit.record(request, AuditAction.ADDED, new, detail=f"by the rotation of {key.prefix}")
        return new, text

    @admin.action(description=gettext_lazy("Revoke"), permissions=["change_state"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        self.apply_with_reason(request, queryset, lambda key, reason, actor: key.revoke())

    def _show(self, request: HttpRequest, key: ApiKey, text: str) -> HttpResponse:
        context = {"title": _("The new key"), "opts": self.opts, "key": key, "text": text}
        template = "admin/api/apikey/new.html"
        return TemplateResponse(request, template, self.admin_site.each_context(request) | context)

    def _may_rotate(self, request: HttpRequest) -> bool:
        """Return whether the user may make a key and end one."""
        return self.has_add_permission(request) and self.has_change_state_permission(request)


@admin.register(IdempotencyRecord)
class IdempotencyRecordAdmin(ReadOnlyAdmin):
    """The answers that are kept for repeated requests. They may hold real numbers, so they are not shown."""

    list_display = ["id", "service", "key", "status", "location", "created_at"]
    list_filter = ["service", "status"]
    list_select_related = ["service"]
    fields = ["service", "key", "status", "location", "created_at"]
