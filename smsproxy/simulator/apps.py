from django.apps import AppConfig


class SimulatorConfig(AppConfig):
    name = "smsproxy.simulator"
    label = "simulator"
    verbose_name = "Simulator"
