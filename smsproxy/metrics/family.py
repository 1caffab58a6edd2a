"""What a counter and a histogram are: name, help text, labels, and the values that each label may have."""

from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from itertools import product
from math import prod

# A closed set of values, or a function that returns it, for a set that is known only at run time.
Values = Collection[str] | Callable[[], Collection[str]]

# A family with up to this many series shows all of them from the start, at 0. Prometheus sees the first event then.
_MAX_ZEROS = 100


class Family:
    """A metric and its labels. stored_name: the name of its rows in MetricValue."""

    @property
    def stored_name(self) -> str:
        raise NotImplementedError

    def __init__(self, name: str, about: str, **labels: Values) -> None:
        self.name, self.about, self.labels = name, about, labels

    def __repr__(self) -> str:
        return f"the metric {self.name}"

    def text(self, labels: Mapping[str, str]) -> str:
        """Return the labels as they are stored, such as "endpoint=inbound-sms". `parse` is the reverse.

        Raise ValueError for an unknown label or value. The error does not quote it: it may be a number, by a mistake.
        """
        if labels.keys() != self.labels.keys():
            raise ValueError(f"{self}: expected the labels {list(self.labels)}, found {list(labels)}")
        for name, value in labels.items():
            if value not in self.possible(name):
                raise ValueError(f"{self}: the label {name} cannot have this value")
        return ",".join(f"{name}={labels[name]}" for name in self.labels)

    def possible(self, label: str) -> Collection[str]:
        """Return all values that the label may have."""
        values = self.labels[label]
        return values() if callable(values) else values

    @property
    def zeros(self) -> list[dict[str, str]]:
        """All combinations of label values, if they are few."""
        sets = [self.possible(name) for name in self.labels]
        few = prod(map(len, sets)) <= _MAX_ZEROS
        return [dict(zip(self.labels, values, strict=True)) for values in product(*sets)] if few else []


def parse(text: str) -> dict[str, str]:
    """Return the labels in the text of a stored row."""
    return dict(pair.split("=", 1) for pair in text.split(",") if "=" in pair)


class Counter(Family):
    """A metric that only grows. Its name in /metrics ends with _total."""

    @property
    def stored_name(self) -> str:
        return f"{self.name}_total"


class Histogram(Family):
    """Durations in seconds, counted in fixed buckets."""

    def __init__(self, name: str, about: str, *, buckets: Sequence[float], **labels: Values) -> None:
        super().__init__(name, about, **labels)
        self.buckets = tuple(buckets)

    @cached_property
    def bounds(self) -> tuple[str, ...]:
        """The upper bound of each bucket, as Prometheus writes it in the label `le`."""
        return (*(repr(float(bound)) for bound in self.buckets), "+Inf")

    @property
    def stored_name(self) -> str:
        return f"{self.name}_bucket"

    @property
    def sum_name(self) -> str:
        return f"{self.name}_sum"

    def bucket(self, text: str, seconds: float) -> str:
        """Return the labels of the bucket of this duration, as they are stored. text: the other labels."""
        bound = f"le={self.bounds[bisect_left(self.buckets, seconds)]}"
        return f"{text},{bound}" if text else bound
