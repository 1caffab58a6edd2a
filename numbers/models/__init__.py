"""The pool: virtual numbers and their orders; and the real numbers of people."""

from .orders import NumberOrder, OrderEvent, OrderState
from .pools import Pool
from .real import RealNumber
from .shortages import Shortage, ShortageCount
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
    "ShortageCount",
    "TopUp",
    "VirtualNumber",
    "number_restored",
]
