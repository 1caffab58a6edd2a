from django.apps import AppConfig


class StaffConfig(AppConfig):
    name = "smsproxy.staff"
    label = "staff"
    verbose_name = "Audit"
