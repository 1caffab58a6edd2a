"""The page on which staff change their own password."""

from typing import Any

from django.contrib.auth.views import PasswordChangeView
from django.db import transaction
from django.http import HttpResponse
from django.urls import reverse_lazy

from smsproxy.sign_in.forms import OwnPasswordForm
from smsproxy.staff import audit
from smsproxy.staff.models import AuditAction


class OwnPasswordView(PasswordChangeView):
    """Change the own password, which ends the other sessions of the user. In one transaction with its entry."""

    form_class = OwnPasswordForm
    success_url = reverse_lazy("admin:password_change_done")

    def get_form_kwargs(self) -> dict[str, Any]:
        return {**super().get_form_kwargs(), "request": self.request}

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            response: HttpResponse = super().form_valid(form)
            audit.record(self.request, AuditAction.DID, detail="changed the own password")
        return response
