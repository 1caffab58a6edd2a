"""Print the status and the active troubles, for `manage.py status` and its alias `relay --status`."""

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder
from django.db import ProgrammingError

from conversations.insight.collect_status import collect_status
from conversations.insight.troubles import current
from conversations.insight.troubles.current import ActiveTrouble
from conversations.insight.troubles.kinds import Trouble, docs_link
from conversations.management import status_table
from smsproxy.database.migrations import describe_difference


def show_status(out: OutputWrapper, *, as_json: bool) -> None:
    """Print the status. Raises CommandError with exit code 1 if a trouble is active."""
    try:
        status = collect_status()
    except ProgrammingError:
        if difference := describe_difference():  # The status needs a column that the database lacks.
            raise CommandError(f"{difference} See {docs_link(Trouble.MIGRATIONS)}.", returncode=1) from None
        raise
    troubles = current.active(status)
    if as_json:
        content = {**asdict(status), "troubles": [_as_json(trouble) for trouble in troubles]}
        out.write(json.dumps(content, cls=DjangoJSONEncoder, indent=2))
    else:
        out.write("\n".join([*status_table.lines(status, troubles), ""]))
    if troubles:
        raise CommandError(" ".join(trouble.sentence for trouble in troubles), returncode=1)


def _as_json(trouble: ActiveTrouble) -> dict[str, Any]:
    return {
        "id": trouble.kind,
        "severity": trouble.severity,
        "message": trouble.sentence,
        "since": trouble.since,
        "action": trouble.action,
        "docs": trouble.docs,
    }
