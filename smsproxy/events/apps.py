from django.apps import AppConfig


class EventsConfig(AppConfig):
    name = "smsproxy.events"
    label = "events"
    verbose_name = "Events"
