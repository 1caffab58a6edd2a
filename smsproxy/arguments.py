"""Types of command line arguments: the parsers of smsproxy.values, with the errors that argparse prints."""

from argparse import ArgumentTypeError
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def argument(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """Return a type for argparse: the parser, whose ValueError becomes an error that argparse prints."""

    def wrapped(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise ArgumentTypeError(str(error)) from None

    return wrapped
