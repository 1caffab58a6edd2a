"""The pool: virtual numbers and their orders; and the real numbers of people."""

from .orders import NumberOrder, OrderEvent, OrderState
from .pools import Pool, Shortage
from .real import RealNumber
from .top_up import TopUp
from .virtual import NumberEvent, NumberState, VirtualNumber, number_restored

__all__ = [
    "NumberEvent",
    "NumberOrder",
    "NumberState",
    "OrderEvent",
    "OrderState",
    "Pool",
    "RealNumber",
    "Shortage",
    "TopUp",
    "VirtualNumber",
    "number_restored",
]
