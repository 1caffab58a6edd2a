"""The Django app of numbers: virtual numbers, real numbers, pools and their provisioning."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class NumbersConfig(AppConfig):
    name = "numbers"
    verbose_name = _("Numbers")
