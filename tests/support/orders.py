"""Orders of numbers that tests place and fulfil."""

from numbers.models import NumberState, VirtualNumber
from numbers.provisioning.order import OrderSpec, find_or_open_order, fulfil

TWO = OrderSpec(country="GB", count=2)


def run(spec=TWO, **options):
    order = find_or_open_order(spec)
    return order, list(fulfil(order, **options))


def pool(state=NumberState.ACTIVE):
    return set(VirtualNumber.objects.filter(state=state).values_list("number", flat=True))
