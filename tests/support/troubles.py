"""The active troubles, as every place that shows them finds them."""

from collections.abc import Mapping

from conversations.insight.collect_status import collect_status
from conversations.insight.troubles import current
from conversations.insight.troubles.kinds import Trouble


def active_troubles() -> Mapping[Trouble, str]:
    """Return each active trouble with its sentence."""
    return current.find(collect_status())
