"""The form of a service, for the admin and for `manage.py create_service`."""

from typing import Any, ClassVar

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from smsproxy.services.models import LIMITS, MAX_TTL, Service

# The values of the settings of the same meaning: their rooms are above this one.
GEOGRAPHIES = ("prefer", "same-country", "any")
LATE_MESSAGES = ("end", "reopen")
MIN_TTL = 60


def _choice(label: Any, values: tuple[str, ...], setting: str, help_text: Any) -> forms.ChoiceField:
    choices = [
        ("", format_lazy(gettext_lazy("as the setting {setting}"), setting=setting)),
        *((value, value) for value in values),
    ]
    return forms.ChoiceField(label=label, choices=choices, required=False, help_text=help_text)


class ServiceForm(forms.ModelForm):
    """A service with its defaults and limits. An empty value means the setting of the installation."""

    ttl = forms.IntegerField(
        label=gettext_lazy("time limit"),
        min_value=MIN_TTL,
        max_value=MAX_TTL,
        required=False,
        help_text=format_lazy(
            gettext_lazy(
                "Seconds until its conversations end, {least} to {most}. Empty: they do not end by themselves."
            ),
            least=MIN_TTL,
            most=MAX_TTL,
        ),
    )
    geography = _choice(
        gettext_lazy("geography"),
        GEOGRAPHIES,
        "NUMBER_GEOGRAPHY",
        gettext_lazy("Whether a person gets a virtual number of their own country: preferably, always, or by chance."),
    )
    late_messages = _choice(
        gettext_lazy("late messages"),
        LATE_MESSAGES,
        "LATE_MESSAGE_POLICY",
        gettext_lazy(
            "A message to an ended conversation: its sender gets a notice (end), or it reopens the conversation "
            "(reopen)."
        ),
    )

    class Meta:
        model = Service
        fields: ClassVar = ["name", "pool", "ttl", "geography", "late_messages", "language", *LIMITS]
        help_texts: ClassVar = {
            field: format_lazy(gettext_lazy("Empty: {setting}. 0: no limit."), setting=setting)
            for field, setting in LIMITS.items()
        }

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not name.isprintable():
            raise forms.ValidationError(_("Expected one line without control characters."))
        return name
