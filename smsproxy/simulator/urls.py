from django.urls import path

from smsproxy.simulator import views

urlpatterns = [
    path("", views.phones, name="phones"),
    path("simulator/state", views.state, name="simulator-state"),
    path("simulator/texts", views.texts, name="simulator-texts"),
]
