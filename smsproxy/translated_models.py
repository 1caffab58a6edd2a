"""Translates what staff read of our models: their names, and the names, help texts and choices of their fields.

The models hold plain English. `make messages` lists their words in model_words/, for gettext.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy

OURS = ("smsproxy", "numbers", "conversations")

# The words of each folder, which `translate_models` has found.
words: dict[str, set[str]] = defaultdict(set)


def translate_models(all_models: Iterable[type[models.Model]]) -> None:
    """Replace the words of our models by their lazy translations. Words that are marked already stay."""
    for model in all_models:
        folder = model.__module__.partition(".")[0]
        if folder in OURS:
            words[folder].update(_translate(model))


def _translate(model: type[models.Model]) -> Iterator[str]:
    """Replace the words of the model, and yield those that were not marked."""
    opts: Any = model._meta
    if "verbose_name_plural" not in opts.original_attrs:
        # Django adds an "s" to any translation.
        opts.verbose_name_plural = f"{opts.verbose_name}s"
    for part in (opts, *opts.local_fields):
        for name in ("verbose_name", "verbose_name_plural", "help_text"):
            word = getattr(part, name, "")
            if word and not isinstance(word, Promise):
                setattr(part, name, gettext_lazy(word))
                yield word
        if isinstance(part, models.Field) and part.choices:
            choices = list(part.flatchoices)
            part.choices = [
                (value, label if isinstance(label, Promise) else gettext_lazy(label)) for value, label in choices
            ]
            yield from (label for _, label in choices if not isinstance(label, Promise))
