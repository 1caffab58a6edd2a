"""What a member of staff may do. A refusal names the right that is missing."""

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest


class RightMissing(PermissionDenied):
    """The user has none of these permissions, such as "conversations.view_conversation"."""

    def __init__(self, *permissions: str) -> None:
        super().__init__(" or ".join(permissions))
        self.permissions = permissions


def require(request: HttpRequest, *permissions: str) -> None:
    """Raise RightMissing unless the user has one of these permissions."""
    if not any(request.user.has_perm(permission) for permission in permissions):
        raise RightMissing(*permissions)
