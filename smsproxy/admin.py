"""What every admin page shares: our site, and the read-only base class."""

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest


class AdminSite(admin.AdminSite):
    site_header = "smsproxy"
    site_title = "smsproxy"
    index_title = "Operations"


class ReadOnlyAdmin(admin.ModelAdmin):
    pass
