"""The measured figures, their bounds and goals, on two cores shared with the database and the load generator."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A row of the table. must, aim: None if the figure has no such bound. better: whether more or less is better."""

    label: str
    unit: str = ""
    must: float | None = None
    aim: float | None = None
    better: Literal["more", "less"] = "less"

    def is_met(self, value: float, bound: float) -> bool:
        return value >= bound if self.better == "more" else value <= bound

    def verdict(self, value: float) -> str:
        if self.must is not None and not self.is_met(value, self.must):
            return "MISSED"
        if self.aim is None:
            return "met" if self.must is not None else ""
        return "aim met" if self.is_met(value, self.aim) else "below the aim" if self.must is None else "met"


# Each figure is a module in benchmarks/figures/ whose results use these names.
GOALS: dict[str, dict[str, Goal]] = {
    "inbound": {
        "acks": Goal(label="inbound messages acknowledged", unit="/s", must=600, aim=1000, better="more"),
        "pgbench": Goal(label="pgbench with the same statements", unit="/s"),
        "share": Goal(label="inbound, as a share of pgbench", aim=0.5, better="more"),
    },
    "latency": {
        "p99": Goal(label="time to acknowledge, p99 at 200/s", unit="ms", must=40, aim=20),
        "p99_alone": Goal(label="the same with no worker running", unit="ms"),
    },
    "relay": {"rate": Goal(label="relayed by one worker", unit="/s", must=350, aim=450, better="more")},
    "relay2": {"rate": Goal(label="relayed by two workers", unit="/s", must=600, aim=800, better="more")},
    "end_to_end": {
        "p50": Goal(label="webhook to carrier, p50 at 20/s", unit="ms", must=20, aim=10),
        "p99": Goal(label="webhook to carrier, p99 at 20/s", unit="ms", must=60, aim=30),
    },
    "cpu": {
        "total": Goal(label="CPU per message, in and out", unit="ms", must=3.5, aim=2),
        "web": Goal(label="of that, the web server", unit="ms"),
        "worker": Goal(label="of that, the worker", unit="ms"),
    },
    "scale": {
        "route": Goal(label="route look-up, 5 million : 1,000", unit="x", must=1.5, aim=1.1),
        "inbound": Goal(label="inbound message, 5 million : 1,000", unit="x", must=1.5, aim=1.1),
        "creation": Goal(label="creation, 5 million : 1,000", unit="x", must=1.5, aim=1.1),
    },
    "creation": {
        "rate": Goal(label="conversations created", unit="/s", must=100, aim=250, better="more"),
        "p50": Goal(label="time to create one over 16 connections, p50", unit="ms"),
        "p99": Goal(label="the same, p99", unit="ms"),
    },
    "memory": {
        "web": Goal(label="memory of a web process", unit="MB", must=120, aim=80),
        "worker": Goal(label="memory of a worker", unit="MB", must=100, aim=70),
    },
    "idle": {
        "worker": Goal(label="a worker with nothing to do, of one core", unit="%", must=0.5),
        "database": Goal(label="its connections to PostgreSQL", unit="%"),
    },
    "pool": {
        "numbers": Goal(label="numbers for a day of 60,000 conversations"),
        "beyond": Goal(label="more than the minimum", must=0),
        "per_conversation": Goal(label="one number for both sides, first fit"),
        "per_session": Goal(label="one number for each live conversation"),
        "spread": Goal(label="busiest number : mean, at the peak", unit="x", must=1.2, aim=1.1),
    },
    "abuse": {
        "wrong": Goal(label="honest conversations held or limited, of 9,800", must=0),
        "loop": Goal(label="texts in the longest loop of two machines", must=10),
        "after_stop": Goal(label="texts to people after their STOP", must=0),
        "costly": Goal(label="conversations with premium or satellite numbers", must=0),
        "slipped": Goal(label="abusive texts that were passed on", unit="%"),
        "cost": Goal(label="cost of abuse on that day", unit="EUR"),
    },
    "admin": {
        "find": Goal(label="find by the box", unit="ms", must=100),
        "caller": Goal(label="find a caller", unit="ms", must=100),
        "person": Goal(label="a person's page, the busiest's", unit="ms", must=100),
        "home": Goal(label="the first page of the admin, and Technical", unit="ms", must=300),
        "thread": Goal(label="a conversation, of 2,000 texts, and its acts", unit="ms", must=300),
        "inbox": Goal(label="the inbox, with each filter", unit="ms", must=300),
        "pool": Goal(label="the pool, with each filter, and a number", unit="ms", must=300),
        "audit": Goal(label="the audit, by person, object, actor and day", unit="ms", must=300),
        "lists": Goal(label="every list, filter and search", unit="ms", must=300),
        "rows": Goal(label="the page and the history of a row of each list", unit="ms", must=300),
        "plan": Goal(label="the plan of the pool, which stops after 5 s", unit="ms"),
    },
    "growth": {
        "messages": Goal(label="old messages deleted, of 20 million", unit="/s", must=500, better="more"),
        "events": Goal(label="old events deleted, of 40 million", unit="/s", must=2000, better="more"),
        "inbound_p99": Goal(label="inbound message while old ones are deleted, p99", unit="ms"),
        "inbound_p99_alone": Goal(label="the same without", unit="ms"),
        "claim_p99": Goal(label="claim while old messages are deleted, p99", unit="ms"),
        "claim_p99_alone": Goal(label="the same without", unit="ms"),
    },
    "partitions": {
        "insert": Goal(label="insert into month partitions : into one table", unit="x"),
        "find": Goal(label="find by client-ref in month partitions : in one table", unit="x"),
        "drop": Goal(label="drop a month", unit="ms"),
    },
    "snapshot": {
        "claim_before": Goal(label="claim of 20 messages, p50", unit="ms"),
        "claim": Goal(label="the same beside a transaction open for an hour", unit="ms"),
        "claim_without_mark": Goal(label="the same without the low-water mark", unit="ms"),
        "pages": Goal(label="pages read by a walk of the empty queue then", must=10_000),
        "pages_without_mark": Goal(label="the same without the low-water mark"),
    },
}
# Measured only when named: they show quality, not speed, or take minutes.
ON_REQUEST = {"abuse", "admin", "growth", "partitions", "pool", "snapshot"}
