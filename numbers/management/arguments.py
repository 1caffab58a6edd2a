"""Command line arguments about numbers and pools, with the errors that argparse prints."""

from functools import partial

from django.core.management.base import CommandParser

from numbers.models import Pool
from smsproxy import values
from smsproxy.arguments import argument
from smsproxy.carriers.base import Feature, NumberType, PatternPosition

MAX_NUMBERS = 1000


def _features(text: str) -> frozenset[Feature]:
    found = frozenset(values.one_of(Feature, word.strip().upper()) for word in text.split(","))
    if Feature.SMS not in found:
        raise values.InvalidValue("SMS among the features, since the numbers carry messages", text)
    return found


def _pool(name: str) -> Pool:
    return Pool.objects.named(name)


country = argument(values.country)
count = argument(partial(values.whole_number, least=1, most=MAX_NUMBERS))
features = argument(_features)
pattern = argument(values.digits)
euros = argument(values.euros)
number = argument(values.virtual_number)
find_pool = argument(_pool)
number_type = argument(partial(values.one_of, NumberType))
pattern_place = argument(partial(values.one_of, PatternPosition))


def add_query_arguments(parser: CommandParser) -> None:
    """Add the options that describe the numbers to search for."""
    parser.add_argument("--country", type=country, required=True, help="two letters, such as GB")
    parser.add_argument(
        "--features",
        type=features,
        default=frozenset({Feature.SMS}),
        help=f"required features, comma-separated: {', '.join(Feature)} (default: SMS)",
    )
    parser.add_argument(
        "--type", type=number_type, default=None, metavar="TYPE", help=f"{', '.join(NumberType)} (default: any)"
    )
    parser.add_argument(
        "--pattern", type=pattern, default="", help="digits to find in the number, which begins with its country code"
    )
    parser.add_argument(
        "--pattern-place",
        type=pattern_place,
        default=PatternPosition.ANYWHERE,
        metavar="PLACE",
        help=f"where in the number: {', '.join(PatternPosition)} (default: anywhere)",
    )
