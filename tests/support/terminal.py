"""What tests of the commands share: somebody at a terminal, and the pool at a glance."""

import io

from numbers.models import VirtualNumber

TWO = ["provision_numbers", "--country", "GB", "--count", "2"]


class Terminal(io.StringIO):
    """Somebody sits there and types."""

    def isatty(self):
        return True


def states():
    return dict(VirtualNumber.objects.values_list("number", "state"))
