"""Members of staff with some rights, signed in."""

from django.contrib.auth.models import Permission, User
from django.test import Client


def log_in(client: Client, *codenames: str) -> Client:
    """Sign the client in as Sam, a new member of staff with these rights, such as "view_conversation". Return it."""
    user = User.objects.create_user("sam", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)
    return client


def signed_in(*rights: str, name: str = "sam") -> Client:
    """Return a client of a new member of staff with these rights, such as "conversations.view_conversation"."""
    user = User.objects.create_user(name, is_staff=True)
    for right in rights:
        app, _, codename = right.partition(".")
        user.user_permissions.add(Permission.objects.get(content_type__app_label=app, codename=codename))
    client = Client()
    client.force_login(user)
    return client
