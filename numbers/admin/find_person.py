"""The form with which staff find a person by the whole number."""

from django import forms
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from numbers.models import RealNumber, VirtualNumber
from smsproxy.phone import E164_EXAMPLE
from smsproxy.staff.phone_field import LenientPhoneNumberField


class FindPersonForm(forms.Form):
    """A number in any spelling. If the form is valid, `person` is the row."""

    person: RealNumber
    number = LenientPhoneNumberField(
        required=True,
        help_text=format_lazy(
            gettext_lazy("The whole number with its country code, such as {example}."), example=E164_EXAMPLE
        ),
        error_messages={"required": gettext_lazy("Expected a phone number, found nothing.")},
    )

    def clean_number(self) -> str:
        number: str = self.cleaned_data["number"]
        person = RealNumber.objects.with_number(number).first()
        if person is not None:
            self.person = person
            return number
        if VirtualNumber.objects.with_number(number).exists():
            raise forms.ValidationError(
                _("This is one of our virtual numbers, not a person's. Search for it in the list of conversations.")
            )
        raise forms.ValidationError(_("No person has this number. Check the country code."))
