"""Blocks of a person, a pair and a prefix, for tests. All of them stop Alice from texting Bob."""

from typing import Any

import pytest

from conversations.trust.blocks import block_pair, block_person, block_prefix
from numbers.models import RealNumber
from tests.support.builders import ALICE, BOB

WHO: dict[str, Any] = {"reason": "threats, reported by the other person", "actor": "sam"}


def person(number):
    return RealNumber.objects.get_or_create_many([number])[number]


def block_alice(**options):
    return block_person(person(ALICE), **WHO | options)


def block_the_pair(**options):
    return block_pair(person(BOB), person(ALICE), **WHO | options)


def block_her_prefix(**options):
    return block_prefix(ALICE[:9], **WHO | options)


EVERY_KIND = pytest.mark.parametrize("block", [block_alice, block_the_pair, block_her_prefix])
