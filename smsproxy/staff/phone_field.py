"""Form fields into which staff type a person's number. Their forms are posted: a URL ends up in logs."""

import re
from typing import Any

from django import forms

from smsproxy.phone import NotE164, parse_e164
from smsproxy.values import sentence


class PhoneNumberField(forms.CharField):
    """A person's number in E.164, with spaces, dashes and brackets. Its errors do not repeat it."""

    def __init__(self, *, required: bool = False, **options: Any) -> None:
        widget = forms.TextInput({"autocomplete": "off", "class": "vTextField"})
        super().__init__(required=required, max_length=40, widget=widget, **options)

    def clean(self, value: Any) -> str:
        text = super().clean(value)
        try:
            return parse_e164(text) if text else ""
        except NotE164 as error:
            raise forms.ValidationError(sentence(error)) from None


class LenientPhoneNumberField(PhoneNumberField):
    """The same, also with 00 or nothing in place of the "+", as carriers write numbers.

    Only for look-ups: a national number may be read as one of another country.
    """

    def to_python(self, value: Any) -> str:
        return re.sub(r"^(00|\+)?(?=.)", "+", super().to_python(value) or "")
