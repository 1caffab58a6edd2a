"""Helpers of the tests of the loop breaker: the labelled exchanges, a way to play one, and the memory."""

from conversations.models import LimitUsage, Participant
from tests.support.builders import add_numbers, proxies, talk
from tests.trust.exchanges import read_exchanges

EXCHANGES = {exchange.name: exchange for exchange in read_exchanges()}
MOST_TEXTS = 10
AWAY = "Thank you for your text. I am on holiday and will answer in September."


def texts_before_hold(exchange):
    """Return how many texts of the machines are relayed."""
    held_at = exchange.held_at()
    assert held_at is not None
    return held_at - 1


def memory(conversation):
    return LimitUsage.objects.get(scope="conversation", subject_id=conversation.pk).recent


def talk_before(exchange, *people):
    """Return a conversation between these people that is older than the exchange."""
    conversation = talk(*people)
    Participant.objects.filter(conversation=conversation).update(created_at=exchange.texts[0].at)
    return conversation


def play(write, exchange, *people):
    """Take in the texts of an exchange between these people, and return the conversation and the outcomes."""
    add_numbers(len(people))
    conversation = talk_before(exchange, *people)
    numbers = proxies(conversation)
    outcomes = [
        write(people[text.position], numbers[text.position], text.words, text.at).outcome for text in exchange.texts
    ]
    conversation.refresh_from_db()
    return conversation, outcomes
