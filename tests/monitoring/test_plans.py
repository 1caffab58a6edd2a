"""A scrape costs the same after a year of messages: it reads small tables, and indexes of the large ones."""

import pytest
from django.apps import apps
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from conversations.lifecycle.request import NoNumberFree
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.query_plans import forget_statistics
from tests.support.scraping import URL

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]

# As many rows as there are virtual numbers, pools and countries, workers, hosts, endpoints, series of metrics or
# active troubles.
SMALL = {
    *("numbers_virtualnumber", "numbers_pool", "numbers_topup", "numbers_shortagecount"),
    *("conversations_numberratelimit", "conversations_accountratelimit", "conversations_worker"),
    *("conversations_hostclock", "conversations_unreadablerow", "conversations_troubleepisode"),
    *("conversations_webhookwatch", "conversations_rejectedwebhook", "conversations_sitecertificate"),
    *("conversations_joblease", "numbers_poollevel", "metrics_metricvalue", "api_apikey"),
}


def test_a_scrape_scans_no_table_that_grows_with_the_traffic(api):
    """Disable sequential scans, because the test tables are smaller than real ones. Those left have no index."""
    forget_statistics()
    add_numbers(1)
    talk(ALICE, BOB)
    with pytest.raises(NoNumberFree):
        talk(ALICE, CHARLIE)
    with CaptureQueriesContext(connection) as statements:
        assert api.get(URL).status_code == 200
    reads = [each["sql"] for each in statements if each["sql"].startswith("SELECT")]

    nodes = []
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for read in reads:
            cursor.execute(f"EXPLAIN (FORMAT JSON) {read}")
            [[[answer]]] = cursor.fetchall()
            nodes += [node for node in nodes_of(answer["Plan"]) if "Relation Name" in node or "Index Name" in node]
        cursor.execute("SELECT indexrelid::regclass::text, indrelid::regclass::text, indpred IS NOT NULL FROM pg_index")
        indexes = {name: (table, is_partial) for name, table, is_partial in cursor.fetchall()}

    assert len(reads) > 15
    assert {model._meta.db_table for model in apps.get_models()} > SMALL
    found = [node for node in nodes if reads_all_of_a_large_table(node, indexes)]
    assert [(node["Node Type"], node.get("Index Name"), node.get("Relation Name")) for node in found] == []


def reads_all_of_a_large_table(node, indexes):
    table, is_partial = indexes.get(node.get("Index Name"), (node.get("Relation Name"), False))
    is_by_index = is_partial or "Index Cond" in node or node["Node Type"] == "Bitmap Heap Scan"
    return not is_by_index and table not in {*SMALL, "django_migrations"}


def nodes_of(plan):
    yield plan
    for each in plan.get("Plans", ()):
        if plan["Node Type"] == "Limit" and "Filter" not in each and "Plans" not in each:
            continue  # It stops after the first rows.
        yield from nodes_of(each)
