"""Models of virtual numbers, pools, orders and top-ups, and of the real numbers of people."""

from numbers.models.number_order import NumberOrder, OrderEvent, OrderState
from numbers.models.pool import Pool
from numbers.models.pool_level import PoolLevel
from numbers.models.real_number import PersonEvent, PersonState, RealNumber
from numbers.models.shortage import Shortage, ShortageCount
from numbers.models.virtual_number import NumberEvent, NumberState, VirtualNumber, number_restored

from .top_up import TopUp

__all__ = [
    "NumberEvent",
    "NumberOrder",
    "NumberState",
    "OrderEvent",
    "OrderState",
    "PersonEvent",
    "PersonState",
    "Pool",
    "PoolLevel",
    "RealNumber",
    "Shortage",
    "ShortageCount",
    "TopUp",
    "VirtualNumber",
    "number_restored",
]
