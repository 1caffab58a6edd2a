"""How far old texts and rows are deleted, and rows that no key decrypts, for staff."""

from django.contrib import admin

from conversations.models import RetentionMark, TextErasure, UnreadableRow
from smsproxy.staff.model_admin import ReadOnlyAdmin


@admin.register(TextErasure)
class TextErasureAdmin(ReadOnlyAdmin):
    list_display = ["table", "up_to"]


@admin.register(RetentionMark)
class RetentionMarkAdmin(ReadOnlyAdmin):
    list_display = ["table", "up_to", "began_at"]


@admin.register(UnreadableRow)
class UnreadableRowAdmin(ReadOnlyAdmin):
    list_display = ["__str__", "met_at", "checked_at"]
    list_filter = ["table"]
