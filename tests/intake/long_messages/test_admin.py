"""Long messages in the admin."""

import pytest
from django.urls import reverse

from tests.support.builders import ALICE
from tests.support.long_messages import joined_messages, pass_time

pytestmark = pytest.mark.django_db


def test_staff_see_the_parts_of_a_long_message_but_no_text(admin_client, receive_part, time_machine, settings):
    receive_part("the secret", 1, 2)
    pass_time(time_machine, settings.LONG_MESSAGE_TIMEOUT_SECONDS + 1)
    [whole] = joined_messages()

    lists = admin_client.get(reverse("admin:conversations_longmessage_changelist"))
    page = admin_client.get(reverse("admin:conversations_longmessage_change", args=[whole.long_message.pk]))
    message = admin_client.get(reverse("admin:conversations_inboundmessage_change", args=[whole.pk]))

    for answer in (lists, page):
        assert answer.status_code == 200
        assert "the secret" not in answer.text
        assert ALICE[1:] not in answer.text
    assert reverse("admin:conversations_inboundmessage_change", args=[whole.pk]) in page.text
    assert reverse("admin:conversations_longmessage_change", args=[whole.long_message.pk]) in message.text
