"""English for what is stored or logged, whatever the language of the request."""

from django.conf import settings
from django.utils import translation


def in_english(text: object) -> str:
    """Return the text, or the name of the object, in English."""
    with translation.override(settings.LANGUAGE_CODE):
        return str(text)
