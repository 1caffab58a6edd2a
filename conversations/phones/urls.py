from django.urls import path

from conversations.phones import acts, views

urlpatterns = [
    path("", views.phones, name="phones"),
    path("simulator/state", views.state, name="simulator-state"),
    path("simulator/texts", acts.texts, name="simulator-texts"),
    path("simulator/stray", acts.stray, name="simulator-stray"),
    path("simulator/conversations", acts.create, name="simulator-create"),
    path("simulator/conversations/<uuid:public_id>/end", acts.end, name="simulator-end"),
    path("simulator/conversations/<uuid:public_id>/reopen", acts.reopen, name="simulator-reopen"),
    path("simulator/faults", acts.add_fault, name="simulator-faults"),
    path("simulator/faults/clear", acts.clear_faults, name="simulator-clear-faults"),
]
