"""The whole life of conversations, by HTTP only: any order of calls, texts and receipts leaves no contradiction.

The rules call the API and post webhooks. The invariants compare what the API answers with what must be true.
"""

from itertools import count

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from conversations.delivery.relay import Relay
from smsproxy.api.models import ApiKey
from smsproxy.carriers import override
from tests.support.api_life import Marketplace, Member, Talk, Vonage, in_brief
from tests.support.builders import ScriptedCarrier, add_numbers
from tests.support.empty_database import empty_database
from tests.support.hypothesis_profiles import model_examples

PEOPLE = [f"+44770090{index:04}" for index in range(12)]
BY_RULES = (
    "conversation.created",
    "conversation.closed",
    "conversation.reopened",
    "conversation.changed",
    "participant.added",
    "participant.removed",
    "participant.changed",
    "participant.proxy_number_changed",
)
indexes = st.integers(0, 50)
texts = st.text("abc ÄΩ😀", min_size=1, max_size=40).filter(str.strip)


class WholeLife(RuleBasedStateMachine):
    """One marketplace with a few conversations among twelve people."""

    @initialize()
    def begin(self):
        self._names = count()
        self.talks: list[Talk] = []
        self.feed: list[dict] = []
        self.cursor = None
        add_numbers(8)
        self.carrier = ScriptedCarrier()
        self._override = override(self.carrier)
        self._override.__enter__()
        _, key = ApiKey.objects.issue("rides-backend")
        ApiKey.objects.update(requests_per_minute=0)
        self.market, self.vonage = Marketplace(key), Vonage()

    def teardown(self):
        if hasattr(self, "_override"):
            self._override.__exit__(None, None, None)
        empty_database()

    # The marketplace ------------------------------------------------------------------------------------------------

    @rule(first=indexes, second=indexes, repeat=st.booleans(), notify=st.booleans())
    def create(self, first, second, repeat, notify):
        people = [PEOPLE[first % 12], PEOPLE[second % 12]]
        name = f"order-{next(self._names)}"
        body = {"participants": [{"number": each} for each in people], "reference": name, "notify": notify}
        body |= {"metadata": {"name": name}, "ttl": 3600}
        if people[0] == people[1]:
            problem = self.market.call("POST", "/conversations/", body, expect=[400])
            assert problem["code"] == "same_number_twice"
            return
        key = {"Idempotency-Key": name}
        made = self.market.call("POST", "/conversations/", body, expect=[201, 409], **key)
        if "code" in made:
            assert made["code"] == "no_number_free"
            return
        assert (made["reference"], made["metadata"], made["ttl"], made["notify"]) == (
            name,
            {"name": name},
            3600,
            notify,
        )
        if repeat:
            assert self.market.call("POST", "/conversations/", body, expect=[201], **key) == made
            assert self.market.headers["Idempotency-Replayed"] == "true"
        members = {
            each["position"]: Member(each["position"], each["number"], each["proxy_number"])
            for each in made["participants"]
        }
        self.talks.append(Talk(made["id"], name, members, events=["conversation.created"]))

    @precondition(lambda self: self.talks)
    @rule(which=indexes, reason=st.sampled_from(["", "done", "complaint"]))
    def close(self, which, reason):
        talk = self._talk(which)
        body = {"reason": reason} if reason else {}
        shown = self.market.call("POST", f"/conversations/{talk.id}/close/", body, expect=[200])
        assert shown["status"] == "closed"
        if talk.is_open:
            assert shown["closed_reason"] == (reason or "closed")
            talk.events.append("conversation.closed")
        talk.is_open = False

    @precondition(lambda self: self.talks)
    @rule(which=indexes)
    def reopen(self, which):
        talk = self._talk(which)
        self.market.call("POST", f"/conversations/{talk.id}/reopen/", expect=[200])
        if not talk.is_open:
            talk.events.append("conversation.reopened")
        talk.is_open = True

    @precondition(lambda self: self.talks)
    @rule(which=indexes, ttl=st.integers(60, 5000), seconds=st.integers(1, 5000))
    def change_and_extend(self, which, ttl, seconds):
        talk = self._talk(which)
        path = f"/conversations/{talk.id}/"
        before = self.market.call("GET", path, expect=[200])
        if talk.is_open:
            assert self.market.call("PATCH", path, {"ttl": ttl}, expect=[200])["ttl"] == ttl
            self.market.call("POST", f"{path}extend/", {"seconds": seconds}, expect=[200])
            talk.events.append("conversation.changed expires_at" + ("" if before["ttl"] == ttl else " ttl"))
            talk.events.append("conversation.changed expires_at")
        else:
            for method, where, body in [
                ("PATCH", path, {"ttl": ttl}),
                ("POST", f"{path}extend/", {"seconds": seconds}),
            ]:
                assert self.market.call(method, where, body, expect=[409])["code"] == "conversation_ended"
        changed = self.market.call("PATCH", path, {"metadata": {"ttl": ttl}}, expect=[200])
        assert changed["metadata"] == {"ttl": ttl}
        if before["metadata"] != {"ttl": ttl}:
            talk.events.append("conversation.changed metadata")

    @precondition(lambda self: self.talks)
    @rule(which=indexes, who=indexes, one_way=st.booleans())
    def add(self, which, who, one_way):
        talk, number = self._talk(which), PEOPLE[who % 12]
        path = f"/conversations/{talk.id}/participants/"
        is_member = any(member.number == number for member in talk.members.values())
        expect = [409] if not talk.is_open or is_member or len(talk.members) == 10 else [201, 409]
        added = self.market.call("POST", path, {"number": number, "one_way": one_way}, expect=expect)
        if "code" in added:
            codes = {"conversation_ended", "already_participant", "too_many_participants", "no_number_free"}
            assert added["code"] in codes
            return
        assert added["position"] > max(talk.members)
        talk.members[added["position"]] = Member(added["position"], number, added["proxy_number"], one_way)
        talk.events.append(f"participant.added {added['position']}")

    @precondition(lambda self: self.talks)
    @rule(which=indexes, who=indexes)
    def remove(self, which, who):
        talk = self._talk(which)
        member = self._member(talk, who)
        path = f"/conversations/{talk.id}/participants/{member.position}/"
        removed = self.market.call("DELETE", path, expect=[204, 409])
        if removed is None:
            assert len(talk.members) > 2
            del talk.members[member.position]
            talk.events.append(f"participant.removed {member.position}")
            self.market.call("GET", path, expect=[404])
        else:
            assert removed["code"] in ("too_few_participants", "conversation_ended")

    @precondition(lambda self: self.talks)
    @rule(which=indexes, who=indexes, phone=indexes)
    def renumber(self, which, who, phone):
        talk = self._talk(which)
        member, number = self._member(talk, who), PEOPLE[phone % 12]
        path = f"/conversations/{talk.id}/participants/{member.position}/"
        shown = self.market.call("PATCH", path, {"number": number}, expect=[200, 409])
        if "code" not in shown:
            others = {each.position: each.proxy_number for each in talk.members.values() if each is not member}
            if number != member.number:
                talk.events.append(f"participant.changed {member.position} number")
            if shown["proxy_number"] != member.proxy_number:
                talk.events.append(f"participant.proxy_number_changed {member.position}")
            member.number, member.proxy_number = number, shown["proxy_number"]
            now = self.market.call("GET", f"/conversations/{talk.id}/", expect=[200])["participants"]
            assert {each["position"]: each["proxy_number"] for each in now} == {
                **others,
                member.position: member.proxy_number,
            }

    @precondition(lambda self: self.talks)
    @rule(which=indexes, words=texts, author=st.none() | indexes)
    def send(self, which, words, author):
        talk = self._talk(which)
        body = {"text": words}
        if author is not None:
            member = self._member(talk, author)
            body["from"] = member.position
        sent = self.market.call("POST", f"/conversations/{talk.id}/messages/", body, expect=[201, 409, 429])
        if "code" not in sent:
            assert talk.is_open
            assert sent["text"] == words
            talk.texts.append(sent["id"])
            assert self.market.call("GET", f"/messages/{sent['id']}/", expect=[200])["conversation_id"] == talk.id

    # People and the carrier -------------------------------------------------------------------------------------------

    @precondition(lambda self: self.talks)
    @rule(which=indexes, who=indexes, words=texts)
    def text(self, which, who, words):
        talk = self._talk(which)
        member = self._member(talk, who)
        before = self._messages(talk)
        self.vonage.text(member.number, member.proxy_number, words)
        new = [each for each in self._messages(talk) if each["id"] not in {old["id"] for old in before}]
        [received] = [each for each in new if each["kind"] == "text"]
        assert received["from"] == member.position
        assert received["text"] == words
        if not talk.is_open:
            assert received["outcome"] == "ended"
        elif member.one_way:
            assert received["outcome"] == "one_way"
        elif received["outcome"] == "relayed":
            reached = {each["participant"] for each in received["recipients"]}
            assert reached == set(talk.members) - {member.position}
        talk.texts.append(received["id"])

    @rule()
    def work(self):
        Relay().send_due()

    @rule(which=indexes)
    def deliver(self, which):
        sent = len(self.carrier.sent)
        if sent:
            self.vonage.deliver(f"sent-{1 + which % sent}")

    # What must be true ------------------------------------------------------------------------------------------------

    @invariant()
    def each_conversation_is_shown_as_it_is(self):
        for talk in getattr(self, "talks", []):
            shown = self.market.call("GET", f"/conversations/{talk.id}/", expect=[200])
            assert (shown["status"] == "open") == talk.is_open
            assert {each["position"]: each["number"] for each in shown["participants"]} == {
                member.position: member.number for member in talk.members.values()
            }
            assert shown["message_counts"]["received"] + shown["message_counts"]["from_api"] == len(talk.texts)
            if not talk.is_open:
                assert shown["expires_at"] is None or shown["expires_at"] <= shown["closed_at"]

    @invariant()
    def each_text_is_told_once_and_in_order(self):
        for talk in getattr(self, "talks", []):
            shown = self._messages(talk)
            ids = [each["id"] for each in shown]
            assert len(set(ids)) == len(ids)
            assert [each["id"] for each in shown if each["kind"] in ("text", "api")] == talk.texts

    @invariant()
    def the_feed_tells_what_happened(self):
        if not hasattr(self, "market"):
            return
        while True:
            after = f"&after={self.cursor}" if self.cursor else ""
            page = self.market.call("GET", f"/events/?page_size=50{after}", expect=[200])
            self.cursor = page["cursor"]
            self.feed += page["results"]
            if not page["results"]:
                break
        ids = [event["id"] for event in self.feed]
        assert len(set(ids)) == len(ids)
        for talk in self.talks:
            told = [event for event in self.feed if event["conversation"] and event["conversation"]["id"] == talk.id]
            assert [in_brief(event) for event in told if event["type"] in BY_RULES] == talk.events
            received = [event["data"]["message_id"] for event in told if event["type"] == "message.received"]
            assert set(received) <= set(talk.texts)

    def _messages(self, talk):
        found, after = [], ""
        while True:
            page = self.market.call("GET", f"/conversations/{talk.id}/messages/?page_size=7{after}", expect=[200])
            found += page["results"]
            after = f"&after={page['cursor']}"
            if not page["has_more"]:
                return found

    def _talk(self, which):
        return self.talks[which % len(self.talks)]

    def _member(self, talk, who):
        return list(talk.members.values())[who % len(talk.members)]


@pytest.mark.django_db(transaction=True)
def test_any_life_of_conversations_is_told_without_a_contradiction():
    run_state_machine_as_test(WholeLife, settings=settings(model_examples(fast=3, thorough=10), stateful_step_count=25))
