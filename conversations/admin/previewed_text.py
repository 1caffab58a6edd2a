"""A text that staff send. It is sent only after a preview of this very text, with the SMS that it takes."""

from decimal import Decimal
from typing import Any, NamedTuple

from django import forms
from django.conf import settings
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from conversations.models.pace import estimated_price
from smsproxy.carriers.gsm7 import segments
from smsproxy.staff.acts import ActForm

TEXT_LENGTH = 2000


class Cost(NamedTuple):
    """What a text takes for one recipient. segments: SMS. price: an estimate in EUR, by PRICE_ESTIMATE_EUR."""

    segments: int
    price: Decimal


class PreviewedTextForm(ActForm):
    """What the act asks for. It is valid at the second submission of the same text: the first one shows the preview.

    preview: what the text takes, once it is typed and has not been previewed.
    """

    text = forms.CharField(
        label=gettext_lazy("Text"),
        max_length=TEXT_LENGTH,
        strip=False,
        widget=forms.Textarea({"rows": 4, "class": "vLargeTextField"}),
        error_messages={"required": gettext_lazy("Expected a text, found nothing.")},
    )
    previewed = forms.CharField(required=False, strip=False, widget=forms.HiddenInput)

    preview: Cost | None = None

    def clean_text(self) -> str:
        text: str = self.cleaned_data["text"].replace("\r\n", "\n")
        if not text.strip():
            raise forms.ValidationError(_("Expected a text, found only white space."))
        if (count := segments(text).count) > settings.MAX_SEGMENTS:
            told = _("Expected a text of at most %(most)d SMS, found %(count)d. Shorten it.")
            raise forms.ValidationError(told % {"most": settings.MAX_SEGMENTS, "count": count})
        return text

    def is_valid(self) -> bool:
        if not super().is_valid():
            return False
        text = self.cleaned_data["text"]
        if self.cleaned_data["previewed"].replace("\r\n", "\n") == text:
            return True
        count = segments(text).count
        self.preview = Cost(count, estimated_price(count))
        # The next submission of the form that is shown now is of a text that was previewed.
        self.data: Any = {"text": text, "previewed": text, "reason": self.cleaned_data["reason"]}
        return False
