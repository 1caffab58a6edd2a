"""The form with which staff find a caller by the whole number. It is posted: a URL ends up in logs."""

from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext, gettext_lazy

from numbers.models import RealNumber, VirtualNumber
from smsproxy.phone import E164_EXAMPLE
from smsproxy.phone_spellings import MAX_LENGTH, possible_numbers
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction


class CallerNumberField(forms.CharField):
    """A number in any spelling, in a form that is posted: a URL ends up in logs.

    Its value is a list: the E.164 numbers that it may be, the likeliest first. Its errors do not repeat it.
    """

    def __init__(self, **options: Any) -> None:
        widget = forms.TextInput({"autocomplete": "off", "class": "vTextField", "inputmode": "tel"})
        super().__init__(max_length=MAX_LENGTH, widget=widget, **options)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return []
        found = possible_numbers(text, VirtualNumber.objects.countries())
        if not found:
            raise forms.ValidationError(
                gettext("Expected a whole phone number, such as %(example)s or 07700 900001.")
                % {"example": E164_EXAMPLE}
            )
        return found


class FindPersonForm(forms.Form):
    """A number in any spelling. If the form is valid, `people` are the rows: several if it may be either number."""

    people: list[RealNumber]
    number = CallerNumberField(
        label=gettext_lazy("Number"),
        help_text=gettext_lazy("The caller's whole number, in any spelling. It is compared in secret, and not logged."),
        error_messages={"required": gettext_lazy("Expected a phone number, found nothing.")},
    )

    def clean_number(self) -> list[str]:
        numbers: list[str] = self.cleaned_data["number"]
        self.people = list(RealNumber.objects.with_number(*numbers).order_by("pk"))
        if self.people:
            return numbers
        if (ours := VirtualNumber.objects.with_number(*numbers).first()) is not None:
            raise forms.ValidationError(_told_of_ours(ours))
        raise forms.ValidationError(
            gettext(
                "No person has this number. Check the country code. "
                "People who were in no conversation and never texted us are not stored."
            )
        )


def found(request: HttpRequest, people: list[RealNumber]) -> str:
    """Record in the audit who was found, and return the URL of their page, or "" if there are several."""
    for person in people:
        audit.record(request, AuditAction.FOUND, person, detail="by number")
    return reverse("admin:numbers_realnumber_change", args=[people[0].pk]) if len(people) == 1 else ""


def _told_of_ours(number: VirtualNumber) -> str:
    url = f"{reverse('admin:find')}?{urlencode({'q': number.number})}"
    told = gettext("This is one of our virtual numbers, not a person's.")
    return format_html('{} <a href="{}">{}</a>', told, url, gettext("Show the conversations that use it"))
