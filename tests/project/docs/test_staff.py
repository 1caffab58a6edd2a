"""The tables about staff are complete: the rights of the groups, and the actions of the audit."""

from smsproxy.staff.groups import GROUPS, RIGHTS
from smsproxy.staff.models import AuditAction
from tests.support.documentation import doc, first_cells, section


def test_the_table_of_rights_is_that_of_the_groups():
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section(doc("staff.md"), "Rights").splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]

    assert rows[0] == ["right", "permissions", *GROUPS]
    assert rows[1:] == [
        [
            right.what,
            ", ".join(f"`{name}`" for name in right.permissions),
            *("yes" if group in right.groups else "" for group in GROUPS),
        ]
        for right in RIGHTS
    ]


def test_every_action_of_the_audit_is_explained():
    assert first_cells(section(doc("staff.md"), "The audit")) == AuditAction.values


def test_each_group_is_described():
    text = section(doc("staff.md"), "Groups")

    assert [group for group in GROUPS if f"- **{group}** " not in text] == []
