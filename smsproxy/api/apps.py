from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "smsproxy.api"
    label = "api"
    verbose_name = "API"
