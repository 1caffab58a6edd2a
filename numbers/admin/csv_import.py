"""CSV import and export of virtual numbers in the admin: upload, preview, confirmation."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.exceptions import PermissionDenied
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from numbers.spreadsheet.csv_file import MAX_BYTES, MAX_ROWS, InvalidCsv, Rows
from numbers.spreadsheet.import_numbers import IMPORTED, PREVIEWED, PreviewOutdated, apply, export, preview, read
from smsproxy.database.deadline import deadline_extended
from smsproxy.staff import audit
from smsproxy.staff.model_admin import BaseAdmin
from smsproxy.staff.models import AuditAction

# The signed and compressed file comes back in a form, which DATA_UPLOAD_MAX_MEMORY_SIZE bounds.
MAX_CARRIED = 200_000
VALID_FOR = timedelta(hours=1)
# Seconds for reading or importing the largest file, which takes longer than other requests may.
TIMEOUT = 60.0
# Where this module once was. A new salt would break the confirmations that are under way.
SALT = "numbers.csv_admin"


class UploadForm(forms.Form):
    """A CSV file, cleaned to its rows. signed: the file as the confirmation carries it."""

    import_file = forms.FileField(
        label=gettext_lazy("CSV file"),
        help_text=format_lazy(gettext_lazy("In UTF-8, with up to {rows} rows."), rows=f"{MAX_ROWS:,}"),
        error_messages={
            "required": format_lazy(
                gettext_lazy("Expected a file of up to {bytes} bytes, found no file or a larger one."),
                bytes=f"{MAX_BYTES:,}",
            )
        },
    )
    signed = ""

    def clean_import_file(self) -> Rows:
        uploaded: UploadedFile = self.cleaned_data["import_file"]
        data = uploaded.read()
        try:
            rows = read(data)
        except InvalidCsv as error:
            raise forms.ValidationError(str(error)) from None
        self.signed = signing.dumps(data.decode("utf-8-sig"), salt=SALT, compress=True)
        if len(self.signed) > MAX_CARRIED:
            raise forms.ValidationError(_("Too much for a page: split the file, or use manage.py import_numbers."))
        return rows


class ConfirmForm(forms.Form):
    """The agreement to a preview: the signed file, cleaned to its rows, and the preview's fingerprint.

    The browser carries the file, so nothing is stored here, and any web process can handle the confirmation.
    """

    import_file_name = forms.CharField(widget=forms.HiddenInput)
    preview = forms.CharField(widget=forms.HiddenInput)

    def clean_import_file_name(self) -> Rows:
        try:
            text: str = signing.loads(self.cleaned_data["import_file_name"], salt=SALT, max_age=VALID_FOR)
            return read(text.encode())
        except (signing.BadSignature, InvalidCsv):
            raise forms.ValidationError(_("The preview is not ours, or too old.")) from None


class CsvImportExportMixin(BaseAdmin):
    """Adds import and export to the admin of virtual numbers."""

    def get_urls(self) -> list[URLPattern]:
        views = {"import": self.import_view, "process_import": self.confirm_view, "export": self.export_view}
        return [
            path(f"{name}/", self.admin_site.admin_view(view), name=f"numbers_virtualnumber_{name}")
            for name, view in views.items()
        ] + super().get_urls()

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["numbers.add_virtualnumber", "numbers.change_virtualnumber"])

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        may_import = {"has_import_permission": self.has_import_permission(request)}
        return super().changelist_view(request, (extra_context or {}) | may_import)

    def export_view(self, request: HttpRequest) -> HttpResponse:
        """Return the CSV file of the numbers that the list shows, on all its pages."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return self.redirect_on_bad_filter(request, lambda: self._export(request))

    @method_decorator(deadline_extended(seconds=TIMEOUT))
    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Show the upload form, or the preview of an uploaded file."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
        context = {"title": _("Import numbers"), "opts": self.opts, "form": form, "imported": IMPORTED}
        if form.is_valid():
            found = preview(form.cleaned_data["import_file"])
            context |= {"result": found, "columns": PREVIEWED}
            if not found.faults:
                initial = {"import_file_name": form.signed, "preview": found.fingerprint}
                context["confirm_form"] = ConfirmForm(initial=initial)
        template = "admin/numbers/virtualnumber/import.html"
        return TemplateResponse(request, template, self.admin_site.each_context(request) | context)

    @method_decorator(require_POST)
    @method_decorator(deadline_extended(seconds=TIMEOUT))
    def confirm_view(self, request: HttpRequest) -> HttpResponse:
        """Import the file of a preview."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = ConfirmForm(request.POST)
        if not form.is_valid():
            return self._back_to_upload(request, _("The preview is not valid any more."))
        rows, previewed = form.cleaned_data["import_file_name"], form.cleaned_data["preview"]
        try:
            with transaction.atomic():
                done = apply(rows, previewed=previewed, actor=request.user.get_username())
                audit.record(request, AuditAction.DID, detail=f"import of virtual numbers: {done.summary}")
        except PreviewOutdated as error:
            return self._back_to_upload(request, str(error))
        next_step = _("Run manage.py configure_numbers to set the webhook of the numbers that are not configured.")
        messages.success(request, _("Imported: %(summary)s.") % {"summary": done.summary} + " " + next_step)
        return HttpResponseRedirect(reverse("admin:numbers_virtualnumber_changelist"))

    def _export(self, request: HttpRequest) -> HttpResponse:
        text = export(self.get_changelist_instance(request).queryset)
        audit.record(request, AuditAction.EXPORTED, detail="virtual numbers as CSV")
        name = f"numbers-{timezone.now():%Y-%m-%d}.csv"
        return HttpResponse(
            text, content_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    def _back_to_upload(self, request: HttpRequest, why: str) -> HttpResponse:
        messages.error(request, _("Nothing was imported. %(why)s Upload the file again.") % {"why": why})
        return HttpResponseRedirect(reverse("admin:numbers_virtualnumber_import"))
