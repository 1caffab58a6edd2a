"""What can happen to messages on their way out: the steps of the delivery model, and the answers of the carrier."""

from hypothesis import strategies as st

from smsproxy.carriers.base import (
    AccountFault,
    FaultScope,
    OutcomeUnknown,
    PermanentFailure,
    ReceiptStatus,
    SenderFault,
    TemporaryFailure,
)

WORKERS = 3

ANSWERS = {
    "throttled": TemporaryFailure("throttled"),
    "throttled for 20 s": TemporaryFailure("throttled", retry_after=20),
    "number throttled": TemporaryFailure("throttled", scope=FaultScope.NUMBER, retry_after=7),
    "account throttled": TemporaryFailure("throttled", scope=FaultScope.ACCOUNT, retry_after=3),
    "out of service": TemporaryFailure("out of service", scope=FaultScope.ACCOUNT),
    "refused": PermanentFailure("barred"),
    "sender fault": SenderFault("not allowed"),
    "account fault": AccountFault("no credit"),
    "lost": OutcomeUnknown("no answer"),
    "a bug": ZeroDivisionError(),
}
# Seconds that the carrier asks this number, or the whole account, to wait.
NUMBER_WAITS = {"number throttled": 7, "sender fault": 300}
ACCOUNT_WAITS = {"account throttled": 3, "out of service": 1, "account fault": 60}
ACCEPTED = ["accepted", "accepted in part", "accepted, but the answer is lost"]
# Drawn through a number, because Hypothesis prefers the first elements of a list.
ANY_ANSWER = st.integers(0, 9999).map(lambda number: [*ANSWERS, *ACCEPTED, *ACCEPTED][number % 16])

WORKER, WHICH, LINE, YES_OR_NO = st.integers(0, WORKERS - 1), st.integers(0, 20), st.integers(0, 3), st.booleans()
WORK = st.tuples(
    st.just("work"),
    WORKER,
    st.lists(ANY_ANSWER, min_size=2, max_size=2),
    st.sampled_from(["the end", "the end", "the claim", "the calls"]),
)
SECONDS = st.sampled_from([0.05, 0.3, 1, 2, 5, 30, 61, 61, 301, 2501])
STEP = st.one_of(
    WORK,
    WORK.map(lambda step: step),  # Mapped, because Hypothesis merges equal strategies.
    st.tuples(st.just("queue"), st.lists(LINE, min_size=1, max_size=4), YES_OR_NO),
    st.tuples(st.just("claim"), WORKER, st.integers(1, 4)),
    st.tuples(st.just("call"), WHICH, ANY_ANSWER),
    st.tuples(st.just("record"), WHICH, YES_OR_NO),
    st.tuples(st.just("kill"), WHICH),
    st.tuples(st.just("sweep")),
    st.tuples(st.just("wait"), SECONDS),
    st.tuples(st.just("receipt"), WHICH, st.integers(0, 1), st.sampled_from(ReceiptStatus), YES_OR_NO),
    st.tuples(st.just("staff_decide"), WHICH, YES_OR_NO),
    st.tuples(st.just("staff_resume")),
)
