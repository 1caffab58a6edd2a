"""Failures in the middle of an act: a row that cannot be written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models import Model
from django.db.models.signals import ModelSignal


@contextmanager
def failing(signal: ModelSignal, sender: type[Model]) -> Iterator[None]:
    """Let each row of this model fail at this signal, such as post_save, as a full disk would."""

    def fail(**options: Any) -> None:
        raise OSError("no space left on device")

    signal.connect(fail, sender)
    try:
        yield
    finally:
        signal.disconnect(fail, sender)
