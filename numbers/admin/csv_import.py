"""Import and export of a list as CSV in the admin: upload, preview, confirmation."""

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_POST
from import_export.admin import ImportExportMixin
from import_export.forms import ConfirmImportForm, ImportForm
from import_export.tmp_storages import BaseStorage

from numbers.spreadsheet.csv_file import MOST_BYTES, MOST_ROWS, Unreadable
from numbers.spreadsheet.import_numbers import ImportResult, NumberCSV, NumberResource
from smsproxy.staff.admin import BoundedAdmin

# Signed and compressed it comes back in a form, which DATA_UPLOAD_MAX_MEMORY_SIZE bounds.
MOST_CARRIED = 200_000
MOST_TOLD = 5


class CarriedByBrowser(BaseStorage):
    """Between preview and confirmation the file is in the form, signed: nothing is left lying about with us.

    And any process of the web server can go on with it.
    """

    VALID_FOR = timedelta(hours=1)
    SALT = "numbers.csv_admin"

    def save(self, data: bytes) -> None:
        self.name = signing.dumps(data.decode("utf-8-sig"), salt=self.SALT, compress=True)

    def read(self) -> bytes:
        text: str = signing.loads(self.name, salt=self.SALT, max_age=self.VALID_FOR)
        return text.encode()

    def remove(self) -> None:
        pass


class UploadForm(ImportForm):
    import_file = forms.FileField(
        label="CSV file",
        help_text=f"In UTF-8, with up to {MOST_ROWS:,} rows.",
        error_messages={"required": f"Expected a file of up to {MOST_BYTES:,} bytes, found none, or a larger one."},
    )

    def clean_import_file(self) -> UploadedFile:
        uploaded: UploadedFile = self.cleaned_data["import_file"]
        data = uploaded.read()
        try:
            NumberCSV().create_dataset(data)
        except Unreadable as error:
            raise forms.ValidationError(str(error)) from None
        carried = CarriedByBrowser()
        carried.save(data)
        if len(carried.name) > MOST_CARRIED:
            raise forms.ValidationError("Too much for a page: split the file, or use manage.py import_numbers.")
        return uploaded


class ConfirmForm(ConfirmImportForm):
    """preview: the fingerprint of what was shown."""

    preview = forms.CharField(widget=forms.HiddenInput)
    # There is one of each. Whatever else is sent must not become an index.
    format = forms.ChoiceField(choices=[("0", "CSV")], widget=forms.HiddenInput)
    resource = forms.ChoiceField(choices=[("0", "numbers")], widget=forms.HiddenInput, required=False)

    def clean_import_file_name(self) -> str:
        name: str = self.cleaned_data["import_file_name"]
        try:
            CarriedByBrowser(name=name).read()
        except signing.BadSignature:
            raise forms.ValidationError("The preview is not ours, or too old.") from None
        return name


class NumbersAsCSV(ImportExportMixin, BoundedAdmin):
    """For the admin of virtual numbers."""

    resource_classes = [NumberResource]
    formats = [NumberCSV]
    import_form_class = UploadForm
    confirm_form_class = ConfirmForm
    import_template_name = "admin/numbers/virtualnumber/import.html"
    tmp_storage_class = CarriedByBrowser
    skip_export_form = True
    # Each number has its own event.
    skip_admin_log = True

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(["numbers.add_virtualnumber", "numbers.change_virtualnumber"])

    def has_export_permission(self, request: HttpRequest) -> bool:
        return bool(self.has_view_permission(request))

    def export_action(self, request: HttpRequest) -> HttpResponse:
        export = super().export_action
        return self.or_back_to_the_list(request, lambda: export(request))

    def get_export_filename(self, request: HttpRequest, queryset: Any, file_format: Any) -> str:
        return f"numbers-{timezone.now():%Y-%m-%d}.csv"

    def import_action(self, request: HttpRequest, **kwargs: Any) -> TemplateResponse:
        response: TemplateResponse = super().import_action(request, **kwargs)
        context = response.context_data or {}
        if form := context.get("confirm_form"):
            form.initial["preview"] = context["result"].fingerprint
        return response

    def get_import_data_kwargs(self, form: forms.Form, **kwargs: Any) -> dict[str, Any]:
        return {"previewed": form.cleaned_data.get("preview", "")}

    @method_decorator(require_POST)
    def process_import(self, request: HttpRequest, **kwargs: Any) -> HttpResponse:
        if self.has_import_permission(request) and not self.create_confirm_form(request).is_valid():
            return self._begin_again(request, "The preview is not valid any more.")
        response: HttpResponse = super().process_import(request, **kwargs)
        return response

    def process_result(self, result: ImportResult, request: HttpRequest) -> HttpResponse:
        if result.has_errors():
            return self._begin_again(request, " ".join(result.faults[:MOST_TOLD]))
        response: HttpResponse = super().process_result(result, request)
        return response

    def add_success_message(self, result: ImportResult, request: HttpRequest) -> None:
        told = f"Imported: {result.summary}. manage.py configure_numbers points at us those that are not configured."
        messages.success(request, told)

    def _begin_again(self, request: HttpRequest, why: str) -> HttpResponse:
        messages.error(request, f"Nothing was imported. {why} Upload the file again.")
        return HttpResponseRedirect(reverse("admin:numbers_virtualnumber_import"))
