"""numbers/usage.py is the only window from numbers/ onto conversations."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
REVERSE_NAMES = {"participants", "messages", "receipts", "conversations"}

# Calls whose keyword arguments are lookups, and calls whose strings are lookups.
TAKE_KEYWORDS = {"Q", "exclude", "filter", "get"}
TAKE_STRINGS = {
    "Avg", "Count", "F", "Max", "Min", "OuterRef", "Prefetch", "StringAgg", "Sum",
    "defer", "distinct", "getattr", "only", "order_by", "prefetch_related", "select_related", "values", "values_list",
}  # fmt: skip


def product_files(folder):
    return [path for path in sorted((ROOT / folder).rglob("*.py")) if "migrations" not in path.parts]


# The window -----------------------------------------------------------------------------------------------------------


def reverse_reads(source):
    """Return the line and the name of each read through a reverse relation in this source text."""
    tree = ast.parse(source)
    modules = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in REVERSE_NAMES and ast.unparse(node) not in modules:
            found.append((node.lineno, node.attr))
        elif isinstance(node, ast.keyword) and node.arg and is_path(node.arg):
            found.append((node.lineno, node.arg))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and is_path(node.value):
            found.append((node.lineno, node.value))
        elif isinstance(node, ast.Call):
            found += [(node.lineno, name) for name in bare_lookups(node) if name in REVERSE_NAMES]
    return found


def is_path(text):
    """Return whether this is a lookup of several steps with a reverse relation, such as receipts__network."""
    steps = text.lstrip("-").split("__")
    return len(steps) > 1 and all(step.isidentifier() for step in steps) and not REVERSE_NAMES.isdisjoint(steps)


def bare_lookups(call):
    """Return the one-step lookups in this call's arguments: filter(participants=pair), Count("participants")."""
    called = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if called in TAKE_KEYWORDS:
        return [keyword.arg for keyword in call.keywords]
    if called in TAKE_STRINGS:
        return [str(each.value).lstrip("-") for each in call.args if isinstance(each, ast.Constant)]
    return []


def test_only_the_usage_module_reads_rows_of_conversations():
    readers = {
        str(path.relative_to(ROOT)): reads
        for path in product_files("numbers")
        if (reads := reverse_reads(path.read_text()))
    }

    assert set(readers) == {"numbers/usage.py"}, readers


@pytest.mark.parametrize(
    "source",
    [
        "number.participants.unreleased()",
        "self.messages.count()",
        "pool.conversations",
        "type(pool).conversations.rel",
        "numbers.filter(participants__released_at=None)",
        "numbers.filter(participants=pair)",
        "Q(receipts__network='23410')",
        "F('receipts__message__recipient')",
        "pairs.values('conversation__participants__proxy_number')",
        "Count('participants')",
        "numbers.order_by('-messages')",
        "people.prefetch_related('participants')",
        "getattr(pool, 'conversations')",
        "lookups = {'receipts__status': 'delivered'}",
        "import messages_of_ours\nnumber.messages",
    ],
)
def test_every_read_through_a_reverse_relation_is_found(source):
    assert reverse_reads(source)


@pytest.mark.parametrize(
    "source",
    [
        "from django.contrib import messages\nmessages.success(request, 'Imported.')",
        "import django.contrib.messages\ndjango.contrib.messages.error(request, 'Nothing was imported.')",
        "for field, messages in errors.items(): report(field, messages)",
        "FileField(error_messages={'required': 'Expected a file.'})",
        "add_argument('--messages', help='How many messages to send.')",
        "'numbers that serve conversations'",
        "body.get('messages')",
    ],
)
def test_words_that_read_no_rows_are_not_found(source):
    assert reverse_reads(source) == []
