"""Every list of records is on the page "Technical", grouped by job, with a line on what it is."""

import re

from django.contrib import admin
from django.urls import reverse

from smsproxy.cockpit.technical import GROUPS

TECHNICAL = reverse("admin:technical")


def lists(rf, admin_user):
    """Return the models with a list of their own."""
    request = rf.get("/")
    request.user = admin_user
    return [model for model, page in admin.site._registry.items() if page.has_module_permission(request)]


def test_every_list_is_in_one_group_with_a_line_on_what_it_is(rf, admin_user):
    named = [label for _, models in GROUPS for label in models]

    assert {model._meta.label_lower for model in lists(rf, admin_user)} - set(named) == set()
    assert len(named) == len(set(named))
    assert all(str(about).endswith(".") for _, models in GROUPS for about in models.values())


def test_the_page_links_to_each_list_that_the_user_may_see(rf, admin_user, admin_client):
    html = admin_client.get(TECHNICAL).content.decode()

    for model in lists(rf, admin_user):
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        assert f'href="{address}"' in html, model
    assert "More</h2>" not in html


def test_users_and_groups_are_under_people_and_rights(admin_client):
    groups = {str(group.name): group for group in admin_client.get(TECHNICAL).context["groups"]}

    names = [entry.name for entry in groups["People and rights"].entries]
    assert {"Users", "Groups", "Audit"} <= set(names)


def test_staff_see_only_the_lists_that_they_may_see(staff):
    client = staff("view_conversation")

    [group] = client.get(TECHNICAL).context["groups"]

    assert [entry.name for entry in group.entries] == ["Conversations"]


def test_the_page_says_that_no_right_opens_a_list(staff):
    assert "None of your rights opens a list." in staff().get(TECHNICAL).content.decode()


def test_every_page_links_to_it(admin_client):
    for address in (reverse("admin:index"), reverse("admin:conversations_conversation_changelist")):
        html = admin_client.get(address).content.decode()
        assert f'href="{TECHNICAL}"' in html
        assert 'id="nav-sidebar"' not in html


def test_the_page_of_an_application_leads_back_to_it(admin_client):
    html = admin_client.get(reverse("admin:app_list", args=["numbers"])).content.decode()

    breadcrumbs = re.search(r'<div class="breadcrumbs">.*?</div>', html, re.DOTALL)
    assert breadcrumbs
    assert f'href="{TECHNICAL}"' in breadcrumbs[0]
    assert f'href="{reverse("admin:numbers_virtualnumber_changelist")}"' in html
