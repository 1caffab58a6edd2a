"""A side: several phones of one team behind one proxy number."""

import pytest

from conversations.lifecycle.replace_number import replace
from conversations.models import Participant
from numbers.models import Shortage, VirtualNumber
from tests.support.api_requests import URL, counts_are_right, is_refused
from tests.support.builders import ALICE, BOB, CHARLIE, add_numbers, talk
from tests.support.explanations import text
from tests.support.opt_outs import messages_to, person
from tests.support.participants import DORA, Participants, proxy_of

pytestmark = pytest.mark.django_db

TEAM = [{"number": number, "label": label, "side": "shop"} for number, label in ((BOB, "Bob"), (CHARLIE, "Charlie"))]
GUEST = {"number": ALICE, "label": "Alice"}


@pytest.fixture
def shop(create):
    """Return the answer to the creation of a conversation of Alice with a shop of two phones."""
    add_numbers(6)
    return create(GUEST, *TEAM)


def numbers_in(answer):
    assert answer.status_code == 201, answer.content
    return [each["proxy_number"] for each in answer.json()["participants"]]


def conversation_of(answer):
    return Participant.objects.filter(conversation__public_id=answer.json()["id"]).first().conversation


def test_the_members_of_a_side_share_one_number_and_the_other_side_has_its_own(shop):
    alice, bob, charlie = numbers_in(shop)

    assert bob == charlie != alice
    assert [each["side"] for each in shop.json()["participants"]] == [None, "shop", "shop"]
    assert counts_are_right()


def test_everybody_gets_each_text_with_the_label_of_its_author_the_team_too(client, shop):
    alice, bob, charlie = numbers_in(shop)

    assert text(client, ALICE, alice, "Is it ready?").outcome == "relayed"
    assert text(client, BOB, bob, "Yes").outcome == "relayed"
    assert text(client, CHARLIE, charlie, "Come by").outcome == "relayed"

    assert messages_to(ALICE) == ["Bob: Yes", "Charlie: Come by"]
    assert messages_to(BOB) == ["Alice: Is it ready?", "Charlie: Come by"]
    assert messages_to(CHARLIE) == ["Alice: Is it ready?", "Bob: Yes"]


def test_two_phones_of_one_side_alone_see_who_wrote(client, create):
    add_numbers(2)
    answer = create(*TEAM)
    bob, charlie = numbers_in(answer)

    text(client, BOB, bob, "Hello")

    assert bob == charlie
    assert messages_to(CHARLIE) == ["Bob: Hello"]


def test_a_side_of_one_is_served_like_anybody(client, create):
    add_numbers(2)
    alice, bob = numbers_in(create(GUEST, TEAM[0]))

    text(client, BOB, bob, "Hello")

    assert alice != bob
    assert messages_to(ALICE) == ["Hello"]


def test_two_sides_have_a_number_each(create):
    add_numbers(4)

    alice, bob, charlie, dora = numbers_in(
        create({**GUEST, "side": "guests"}, *TEAM, {"number": DORA, "side": "guests"})
    )

    assert (alice, bob) == (dora, charlie)
    assert alice != bob


def test_the_number_of_a_side_is_free_for_each_member(create):
    add_numbers(3)
    first, second = (numbers_in(create(member["number"], DORA))[0] for member in TEAM)

    _, bob, charlie = numbers_in(create(GUEST, *TEAM))

    assert bob == charlie
    assert bob not in {first, second}


def test_without_a_number_that_is_free_for_all_members_nothing_is_created(create):
    [one, other] = add_numbers(2)
    numbers_in(create({"number": BOB, "proxy_number": one.number}, DORA))
    numbers_in(create({"number": CHARLIE, "proxy_number": other.number}, "+447700900005"))

    body = is_refused(create(GUEST, *TEAM), 409, "no_number_free")

    assert (body["numbers_eligible"], body["numbers_in_use"]) == (2, 2)
    assert Shortage.objects.count() == 1
    assert counts_are_right()


def test_each_member_of_a_side_counts_towards_the_cap_of_its_number(create, settings):
    settings.NUMBER_CAP = 2
    add_numbers(2)
    alice, bob, _ = numbers_in(create(GUEST, *TEAM))
    assert alice != bob

    is_refused(create("+447700900061", {**TEAM[0], "number": DORA}, {**TEAM[1], "number": "+447700900062"}), 409,
               "no_number_free")  # fmt: skip
    assert counts_are_right()


def test_a_side_gives_way_where_somebody_else_has_no_alternative(create, settings):
    """The side could fill the only number that its counterpart can have."""
    settings.NUMBER_CAP = 2
    uk, ireland = add_numbers(1), add_numbers(1, "IE", start="+3538550005")
    alice, bob, charlie = numbers_in(create(GUEST, *TEAM, geography="prefer"))

    assert bob == charlie
    assert {alice, bob} == {uk[0].number, ireland[0].number}


def test_a_number_named_for_one_member_is_for_the_whole_side(create):
    *_, wanted = add_numbers(4)
    member, other = TEAM

    _, bob, charlie = numbers_in(create(GUEST, {**member, "proxy_number": wanted.number}, other))

    assert bob == charlie == wanted.number


def test_two_members_that_name_different_numbers_are_refused(create):
    one, other, *_ = add_numbers(4)
    team = [{**member, "proxy_number": each.number} for member, each in zip(TEAM, (one, other), strict=True)]

    is_refused(create(GUEST, *team), 400, "side_needs_one_number")


def test_a_dry_run_shows_the_number_of_the_side(api):
    add_numbers(3)

    shown = api.post(f"{URL}dry-run/", {"participants": [GUEST, *TEAM]}).json()["participants"]

    assert shown[1]["proxy_number"] == shown[2]["proxy_number"] != shown[0]["proxy_number"]


def test_two_who_meet_again_as_one_side_get_one_number(create):
    add_numbers(3)
    first = create(BOB, CHARLIE)
    conversation_of(first).close()

    bob, charlie = numbers_in(create(*TEAM))

    assert bob == charlie


def test_a_person_added_to_a_side_gets_its_number(api, client, shop):
    theirs = Participants(api, conversation_of(shop))

    added = theirs.add(DORA, label="Dora", side="shop")

    assert proxy_of(added) == numbers_in(shop)[1]
    assert added.json()["chosen_by"] == "side"
    text(client, ALICE, numbers_in(shop)[0], "Hi")
    assert messages_to(DORA) == ["Alice: Hi"]
    assert counts_are_right()


def test_a_person_who_has_the_number_of_the_side_elsewhere_cannot_join_the_side(api, shop):
    of_side = numbers_in(shop)[1]
    talk(DORA, "+447700900005")
    number = VirtualNumber.objects.with_number(of_side).get()
    Participant.objects.filter(real_number=person(DORA)).update(proxy_number=number)
    theirs = Participants(api, conversation_of(shop))

    is_refused(theirs.add(DORA, side="shop"), 409, "side_number_taken")
    assert proxy_of(theirs.add(DORA)) != of_side


def test_a_person_who_names_another_number_cannot_join_the_side(api, shop):
    theirs = Participants(api, conversation_of(shop))

    is_refused(theirs.add(DORA, side="shop", proxy_number=numbers_in(shop)[0]), 409, "side_number_taken")


def test_a_new_phone_of_a_member_has_the_number_of_the_side(api, shop):
    theirs = Participants(api, conversation_of(shop))

    assert proxy_of(theirs.change(1, number=DORA)) == numbers_in(shop)[2]
    assert counts_are_right()


def test_the_others_of_a_side_stay_together_when_one_leaves(api, client, shop):
    theirs = Participants(api, conversation_of(shop))

    assert theirs.remove(1).status_code == 204

    assert text(client, CHARLIE, numbers_in(shop)[2], "Hello").outcome == "relayed"
    assert messages_to(ALICE) == ["Hello"]


def test_a_side_moves_together_when_its_number_is_replaced(api, shop):
    conversation = conversation_of(shop)
    old = conversation.participants.get(position=1).proxy_number

    assert all(moved.to for moved in replace(old))

    _, bob, charlie = Participants(api, conversation).all()
    assert bob["proxy_number"] == charlie["proxy_number"] != old.number
    assert [each["side"] for each in (bob, charlie)] == ["shop", "shop"]
    assert counts_are_right()


def test_a_side_is_split_if_no_number_is_free_for_all_of_it_and_still_works(api, client, create):
    """It moves to numbers that each member can have."""
    old, one, other = add_numbers(3)
    numbers_in(create({"number": BOB, "proxy_number": one.number}, {"number": DORA, "proxy_number": one.number}))
    numbers_in(
        create({"number": CHARLIE, "proxy_number": other.number}, {"number": DORA, "proxy_number": other.number})
    )
    shop = create(GUEST, *[{**member, "proxy_number": old.number} for member in TEAM])
    numbers_in(shop)

    assert all(moved.to for moved in replace(old))

    _, bob, charlie = Participants(api, conversation_of(shop)).all()
    assert (bob["proxy_number"], charlie["proxy_number"]) == (other.number, one.number)
    assert text(client, BOB, other.number, "Hi").outcome == "relayed"
    assert messages_to(ALICE)[-1] == "Bob: Hi"


def test_the_name_of_a_side_holds_no_phone_number(create):
    body = is_refused(create(GUEST, {**TEAM[0], "side": "call +447700900001"}), 400, "label_like_a_number")

    assert body["errors"][0]["pointer"] == "/participants/1/side"
