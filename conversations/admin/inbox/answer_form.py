"""The form for an answer to a stranger. It is sent only after a preview of the text, its segments and its price."""

from hashlib import sha256
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from conversations.intake.answer import Cost, cost_of
from smsproxy.staff.acts import ActForm

MOST_CHARACTERS = 1600


class AnswerForm(ActForm):
    """What the act asks for, and whether the preview of this very text was shown before."""

    text = forms.CharField(
        label=_("Your answer"),
        max_length=MOST_CHARACTERS,
        widget=forms.Textarea({"rows": 4, "class": "vLargeTextField"}),
        help_text=_("The sender reads it as a text from this number. It is not signed: say who you are."),
        error_messages={"required": _("Expected your answer, found nothing.")},
    )
    previewed = forms.CharField(required=False, widget=forms.HiddenInput)
    preview: Cost | None = None

    def is_valid(self) -> bool:
        """Return whether to send it. If its text has not been shown yet, set `preview` instead."""
        if not super().is_valid():
            return False
        text = self.cleaned_data["text"]
        if self.cleaned_data["previewed"] == _digest(text):
            return True
        self.preview = cost_of(text)
        self.data: Any = self.data.copy()
        self.data["previewed"] = _digest(text)
        return False


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
