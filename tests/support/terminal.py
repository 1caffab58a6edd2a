"""Helpers for tests of commands: a person at a terminal, and the states of the pool."""

import io

from numbers.models import VirtualNumber

TWO = ["provision_numbers", "--country", "GB", "--count", "2"]


class Terminal(io.StringIO):
    """A terminal at which a person types."""

    def isatty(self):
        return True


def states():
    return dict(VirtualNumber.objects.values_list("number", "state"))
