"""Count the calls of every carrier by their result, for /metrics."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from smsproxy.metrics.counting import count
from smsproxy.metrics.families import CARRIER_CALLS

CALLS = frozenset(CARRIER_CALLS.possible("call"))


def counted(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method of a carrier so that each call of it is counted. One that yields counts when it ends."""

    @wraps(call)
    def respond(*args: Any, **options: Any) -> Any:
        with _count(call.__name__):
            answer = call(*args, **options)
            if not isinstance(answer, Iterator):
                return answer
        return _each(call.__name__, answer)

    return respond


def _each(name: str, answer: Iterator[Any]) -> Iterator[Any]:
    with _count(name):
        yield from answer


@contextmanager
def _count(name: str) -> Iterator[None]:
    result = "ok"
    try:
        yield
    except GeneratorExit:
        raise  # The caller has seen enough.
    except BaseException as error:
        result = getattr(error, "result", "failed")
        raise
    finally:
        count(CARRIER_CALLS, call=name, result=result)
