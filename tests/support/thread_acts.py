"""What staff do on the page of a conversation, and the rights for it."""

from django.urls import reverse

SEE, CHANGE = "conversations.view_conversation", "conversations.change_conversation"
DECIDE, BLOCK = "conversations.change_outboundmessage", "conversations.add_block"
TEXT, NOTE = "conversations.message_participants", "conversations.add_conversationnote"
WHY = "ticket 4711"


def page_of(conversation):
    return reverse("admin:conversations_conversation_change", args=[conversation.pk])


def url_of(conversation, name):
    return reverse("admin:conversations_conversation_act", args=[conversation.pk, name])


def do(client, conversation, name, **data):
    """Do the act, and return the messages on the page that follows."""
    return told(client, url_of(conversation, name), {"reason": WHY, **data})


def told(client, url, data):
    answer = client.post(url, data, follow=True)
    assert answer.redirect_chain, answer.context["form"].errors
    return [(each.level_tag, str(each)) for each in answer.context["messages"]]
