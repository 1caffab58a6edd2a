"""The pool: virtual numbers and their orders; and the real numbers of people."""

from .orders import NumberOrder, OrderEvent, OrderState
from .real import RealNumber
from .virtual import NumberEvent, NumberState, VirtualNumber, number_restored

__all__ = [
    "NumberEvent",
    "NumberOrder",
    "NumberState",
    "OrderEvent",
    "OrderState",
    "RealNumber",
    "VirtualNumber",
    "number_restored",
]
