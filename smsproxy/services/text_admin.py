"""The texts of a service, for staff."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from smsproxy.services.models import ServiceText
from smsproxy.text_kinds import MAX_TEMPLATE_LENGTH, TextKind


def _choice(kind: TextKind) -> tuple[str, str]:
    """Return the kind with its placeholders, as a choice of a form."""
    placeholders = ", ".join(f"{{{name}}}" for name in kind.placeholders)
    return kind.value, f"{kind}: {placeholders}" if placeholders else kind.value


class ServiceTextForm(forms.ModelForm):
    """A text in one language. The model checks it, so a command or the API could not store another one."""

    kind = forms.ChoiceField(label=_("kind"), choices=[("", "---------"), *(_choice(kind) for kind in TextKind)])
    text = forms.CharField(
        label=_("text"),
        required=False,
        max_length=MAX_TEMPLATE_LENGTH,
        widget=forms.Textarea({"rows": 2, "cols": 60}),
        help_text=_("With the placeholders of its kind. Empty: this text is never sent."),
    )

    class Meta:
        model = ServiceText
        fields = ("service", "kind", "language", "text")


class ServiceTextInline(admin.TabularInline):
    model = ServiceText
    form = ServiceTextForm
    fields = ("kind", "language", "text")
    extra = 0


@admin.register(ServiceText)
class ServiceTextAdmin(admin.ModelAdmin):
    form = ServiceTextForm
    list_display = ["service", "kind", "language"]
    list_filter = ["service", "kind"]
