"""The soak: it would notice a lost text, a missed trouble and a false alarm. Its own run is a slow test."""

from collections import Counter

import pytest

from benchmarks.carrier import Arrival
from benchmarks.soak.carrier_side import Posted
from benchmarks.soak.faults import FAULTS, NOT_READY, Fault, Within, timetable
from benchmarks.soak.summary import not_ready, not_shown, scrapes_without_reason, unlike_the_logs
from benchmarks.soak.verdict import Done, Episode, judge_texts, judge_troubles, out_of_order
from benchmarks.soak.watcher import Look, fallen, read_counters
from benchmarks.traffic import Text
from conversations.insight.troubles.kinds import Trouble

FIRST, SECOND, THIRD = (Text(line=7, number=number) for number in (1, 2, 3))
SECRET = Fault(what="wrong secret", lasts=10, calm=10, begin=print, expected={"webhooks_refused": Within(15, 15)})
RESTART = Fault(what="restart", lasts=0, calm=10, begin=print, allowed=frozenset({NOT_READY}))


def posted(text, sent, answered):
    return Posted(text=text, due=sent, sent=sent, answered=answered, tries=1)


def arrived(text, at):
    return Arrival(at=at, sender="447800000000", recipient="447700000000", text=text.words, client_ref="a.1")


def refused(began, ended, shown=None):
    return Episode("webhooks_refused", began, ended, shown)


def problems(*episodes):
    return judge_troubles([Done(SECRET, 100, 110), Done(RESTART, 120, 120)], episodes)[1]


def test_a_trouble_that_begins_and_ends_in_time_is_as_expected():
    rows, found = judge_troubles([Done(SECRET, 100, 110), Done(RESTART, 120, 120)], [refused(105, 118, 106)])

    assert found == []
    assert rows == [
        ["wrong secret", "0:00", "0:10", "webhooks_refused", "5 s", "6 s", "8 s", "ok"],
        ["restart", "0:20", "0:20", "none", "", "", "", "ok"],
    ]


@pytest.mark.parametrize(
    ("episodes", "problem"),
    [
        ([], "wrong secret: webhooks_refused was missed"),
        ([refused(120, 121)], "wrong secret: webhooks_refused began after 20 s, expected within 15"),
        ([refused(105, 130)], "wrong secret: webhooks_refused ended after 20 s, expected within 15"),
        ([refused(105, None)], "wrong secret: webhooks_refused did not end"),
        ([refused(105, 107), refused(109, 112)], "wrong secret: webhooks_refused began 2 times"),
        (
            [refused(105, 118), Episode("paused", 122, 123)],
            "trouble paused began without a cause, after 'restart' by 2 s",
        ),
        ([refused(90, 95), refused(105, 118)], "trouble webhooks_refused began without a cause, after no fault"),
    ],
)
def test_missed_late_wavering_and_needless_troubles_are_reported(episodes, problem):
    assert problems(*episodes) == [problem]


def test_a_trouble_that_chance_decides_may_come_or_not():
    assert problems(refused(105, 118), Episode(NOT_READY, 121, 123)) == problems(refused(105, 118)) == []


def test_texts_that_arrive_once_and_in_order_are_no_problem():
    counts, found = judge_texts(
        2, [posted(FIRST, 1, 2), posted(SECOND, 3, 4)], [arrived(FIRST, 5), arrived(SECOND, 6)], {}
    )

    assert found == []
    assert counts["arrived at the carrier once"] == counts["acknowledged"] == 2


@pytest.mark.parametrize(
    ("arrivals", "states", "problem"),
    [
        ([], {FIRST.message_id: "sent"}, "1 texts: lost"),
        ([], {}, "1 texts: lost"),
        ([], {FIRST.message_id: "unknown"}, "1 texts: never arrived, and still wait"),
        ([arrived(FIRST, 3), arrived(FIRST, 4)], {}, "1 texts: arrived twice or more"),
    ],
)
def test_lost_waiting_and_doubled_texts_are_reported(arrivals, states, problem):
    assert judge_texts(1, [posted(FIRST, 1, 2)], arrivals, states)[1] == [problem]


def test_a_text_that_was_never_acknowledged_is_reported():
    assert judge_texts(2, [posted(FIRST, 1, 2)], [arrived(FIRST, 3)], {})[1] == ["1 texts were never acknowledged"]


def test_only_a_text_that_was_sent_after_the_acknowledgement_of_another_must_arrive_after_it():
    texts = [posted(FIRST, 1, 2), posted(SECOND, 3, 9), posted(THIRD, 4, 5)]

    assert out_of_order(texts, [arrived(FIRST, 10), arrived(THIRD, 11), arrived(SECOND, 12)]) == 0
    assert out_of_order(texts, [arrived(SECOND, 10), arrived(THIRD, 11), arrived(FIRST, 12)]) == 2


def test_a_text_that_staff_sent_again_may_arrive_after_later_ones():
    texts, arrivals = [posted(FIRST, 1, 2), posted(SECOND, 3, 4)], [arrived(SECOND, 5), arrived(FIRST, 90)]

    assert judge_texts(2, texts, arrivals, {})[1] == ["1 texts: arrived before an earlier one of their line"]
    assert judge_texts(2, texts, arrivals, {}, {FIRST.message_id})[1] == []


def test_not_ready_is_one_time_though_another_process_still_repeats_its_old_answer():
    shown = {10: NOT_READY, 12: NOT_READY, 15: NOT_READY}
    looks = [Look(at, frozenset({shown[at]} if at in shown else set())) for at in range(5, 40)]

    assert list(not_ready(looks)) == [Episode(NOT_READY, 10, 15, 10)]


def test_readyz_must_show_a_trouble_that_lasts():
    assert not_shown([refused(105, 110), refused(200, 230, 201)]) == []
    assert not_shown([refused(105, 130)]) == ["/readyz did not show trouble webhooks_refused"]


def test_the_log_must_tell_the_begin_and_the_end_of_each_trouble_once():
    once, twice = Counter(webhooks_refused=1), Counter(webhooks_refused=2)

    assert unlike_the_logs([refused(105, 118)], {"began": once, "ended": once}) == []
    assert unlike_the_logs([refused(105, 118)], {"began": twice, "ended": Counter()}) == [
        "the log says 2 times that webhooks_refused began, expected 1",
        "the log says 0 times that webhooks_refused ended, expected 1",
    ]


def test_a_scrape_may_fail_only_while_the_database_is_away():
    done = [Done(SECRET, 100, 110), Done(RESTART, 120, 120)]

    assert scrapes_without_reason([125], done) == 0
    assert scrapes_without_reason([105, 125, 140], done) == 2


def test_a_counter_that_falls_is_reported():
    exposition = '# TYPE texts_total counter\ntexts_total{outcome="relayed"} %d\n# TYPE queued gauge\nqueued %d\n'
    before, now = read_counters(exposition % (5, 9)), read_counters(exposition % (4, 1))

    assert fallen(before, now) == ["/metrics: texts_total[('outcome', 'relayed')] fell from 5 to 4"]
    assert fallen(now, before) == []


def test_ten_minutes_are_enough_for_every_fault():
    planned = list(timetable(list(FAULTS), 600))

    assert [fault for _, fault in planned] == list(FAULTS.values())
    assert list(timetable(["no_credit"], 60)) == []


def test_the_faults_name_troubles_that_exist():
    named = {kind for fault in FAULTS.values() for kind in (*fault.expected, *fault.allowed)}

    assert named - {NOT_READY} <= set(Trouble)
