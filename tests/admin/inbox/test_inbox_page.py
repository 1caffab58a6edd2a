"""The page of the inbox: cards, filters, pages, what is covered, and how many queries it makes."""

from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from conversations.insight import waiting
from conversations.models import InboxItem
from numbers.models import RealNumber
from smsproxy.staff.models import AuditEntry, RevealKind
from tests.support.builders import ALICE, BOB, STRANGER
from tests.support.inbox import SENT, WHY, WORDS, lost_text, perhaps_sent, unreadable_webhook

INBOX = "/admin/inbox/"


def reveal(client, text):
    return client.post(reverse("admin:reveal", args=[RevealKind.STRANGER_TEXT, text.pk]), WHY)


def test_an_empty_inbox_says_what_that_means(client, support, conversation):
    page = client.get(INBOX).text

    assert "Nothing waits for you." in page
    assert "14 days" in page


def test_each_card_says_what_it_is_and_what_is_likely(client, support, conversation, number):
    lost_text(ALICE, number)
    perhaps_sent(conversation)
    conversation.hold(reason="two machines", actor="")

    page = client.get(INBOX).text

    assert ["A", "text", "from", "+44", "77••", "•••", "001"][0] in page
    assert f"to {number} has no conversation." in page
    assert "Probably for" in page
    assert "only open conversation of the sender" in page
    assert "was perhaps sent." in page
    assert "order-17 is on hold" in page
    assert "two machines" in page


def test_numbers_and_texts_stay_covered(client, support, conversation, number):
    lost_text(ALICE, number)
    perhaps_sent(conversation)
    unreadable_webhook()

    page = client.get(INBOX).text

    assert not any(secret in page for secret in (ALICE, BOB, STRANGER, ALICE[1:], STRANGER[1:], WORDS))


def test_a_text_is_shown_under_a_reveal_and_the_audit_knows(client, support, conversation, number):
    text = lost_text(ALICE, number)
    reveal(client, text)

    assert WORDS in client.get(INBOX).text
    seen = AuditEntry.objects.filter(action="saw").latest("pk")
    assert (seen.actor, seen.object_name) == ("sam", str(text))
    assert list(seen.people.values_list("person_id", flat=True)) == [text.sender_id]


def test_a_reveal_uncovers_nothing_for_others(client, sign_in, conversation, number):
    sign_in()
    reveal(client, lost_text(ALICE, number))
    sign_in("kim")

    assert WORDS not in client.get(INBOX).text


def test_a_message_that_was_perhaps_sent_is_shown_with_the_texts_of_its_conversation(client, support, conversation):
    unknown = perhaps_sent(conversation)
    assert SENT not in client.get(INBOX).text

    client.post(reverse("admin:reveal", args=[RevealKind.TEXTS, conversation.pk]), WHY)

    assert SENT in client.get(INBOX).text
    assert AuditEntry.objects.filter(action="saw", object_name=str(unknown)).exists()


def test_a_raw_message_needs_the_right_to_see_numbers_too(client, sign_in, conversation):
    sign_in()
    odd = unreadable_webhook()
    reveal(client, odd)
    assert "numbers.reveal_realnumber" in (page := client.get(INBOX).text)
    assert STRANGER not in page

    sign_in("sam", "view_inboxitem", "read_message_text", "reveal_realnumber")
    assert STRANGER in client.get(INBOX).text


def test_the_page_of_an_item_shows_all_its_texts_and_the_senders_conversations(client, support, conversation, number):
    first, second = lost_text(ALICE, number), lost_text(ALICE, number, "the second")
    reveal(client, second)

    page = client.get(reverse("admin:inbox_text", args=[first.pk])).text

    assert "the second" in page
    assert WORDS not in page
    assert "order-17" in page


def test_the_page_of_a_settled_item_leads_back(client, support, conversation, number):
    answer = client.get(reverse("admin:inbox_text", args=[4711]), follow=True)

    assert answer.redirect_chain == [(INBOX, 302)]
    assert "no longer waits" in answer.text


def test_without_the_right_nobody_sees_the_inbox(client, sign_in, conversation):
    sign_in("kim", "view_conversation")

    assert client.get(INBOX).status_code == 403
    assert client.get(reverse("admin:inbox_text", args=[1])).status_code == 403


def test_who_may_only_look_sees_no_buttons(client, sign_in, conversation, number):
    sign_in("ada", "view_inboxitem")
    lost_text(ALICE, number)

    page = client.get(INBOX).text

    assert "has no conversation" in page
    assert not any(word in page for word in ("Pass on", "Dismiss", "Take", "Show the text"))


def test_filters_are_links_that_keep_each_other(client, support, conversation, number):
    text = lost_text(ALICE, number)
    perhaps_sent(conversation)
    InboxItem.objects.take(text, since=text.received_at, actor="sam")

    page = client.get(INBOX, {"who": "mine", "order": "oldest"}).text

    assert "has no conversation" in page
    assert "was perhaps sent" not in page
    assert "?who=mine&amp;kind=hold&amp;order=oldest" in page
    assert "Nothing waits with these filters" in client.get(INBOX, {"who": "mine", "kind": "hold"}).text


def test_pages_follow_each_other(client, support, conversation, number, monkeypatch):
    monkeypatch.setattr(waiting, "PAGE", 2)
    for index in range(3):
        lost_text(f"+4477009011{index:02}", number)

    first = client.get(INBOX)
    second = client.get(first.context["next_url"])

    assert [len(page.context["cards"]) for page in (first, second)] == [2, 1]
    assert second.context["next_url"] == ""
    assert "First page" in second.text


def test_the_door_shows_how_much_waits(client, support, conversation, number):
    assert "door-count" not in client.get(INBOX).text
    lost_text(ALICE, number)

    assert '<span class="door-count">1<' in client.get(INBOX).text


def test_many_cards_take_as_many_queries_as_few(client, support, conversation, number):
    def queries():
        with CaptureQueriesContext(connection) as captured:
            client.get(INBOX)
        return len(captured)

    lost_text(ALICE, number)
    perhaps_sent(conversation)
    conversation.hold(reason="two machines", actor="")
    few = queries()
    for index in range(12):
        lost_text(f"+4477009011{index:02}", number)
    assert queries() == few <= 20


def test_a_person_of_the_inbox_is_masked(client, support, conversation, number):
    lost_text(STRANGER, number)

    masked = str(RealNumber.objects.with_number(STRANGER).get()).replace(" ", "\u00a0")
    assert masked in client.get(INBOX).text
