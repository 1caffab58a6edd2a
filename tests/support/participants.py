"""Requests to the API about the participants of a conversation."""

from tests.support.api_requests import URL

DORA = "+447700900004"


class Participants:
    """The participants of one conversation, as a marketplace changes them."""

    def __init__(self, api, conversation):
        self._api = api
        self.url = f"{URL}{conversation.public_id}/participants/"

    def add(self, number, *, key=None, **fields):
        headers = {"Idempotency-Key": key} if key else {}
        return self._api.post(self.url, {"number": number, "notify": False, **fields}, headers=headers)

    def at(self, position):
        return f"{self.url}{position}/"

    def remove(self, position):
        return self._api.delete(self.at(position))

    def change(self, position, **changes):
        return self._api.patch(self.at(position), {"notify": False, **changes})

    def all(self):
        return self._api.get(self.url).json()["results"]


def proxy_of(answer):
    """Check that a participant was added or changed, and return their proxy number."""
    assert answer.status_code in (200, 201), answer.content
    return answer.json()["proxy_number"]
