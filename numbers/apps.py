"""The Django app of numbers: virtual numbers, real numbers, pools and their provisioning."""

from django.apps import AppConfig


class NumbersConfig(AppConfig):
    name = "numbers"
    verbose_name = "Numbers"
