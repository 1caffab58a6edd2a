"""The URLs of the pages about the API. No key is needed for them."""

from django.urls import path
from django.views.decorators.common import no_append_slash

from smsproxy.api import reference
from smsproxy.api.problem_types import PATH

urlpatterns = [
    path("api/v1/schema/", no_append_slash(reference.schema), name="schema"),
    path("api/v1/docs/", reference.reference, name="reference"),
    path(PATH.removeprefix("/"), reference.problems, name="problems"),
    path(f"{PATH.removeprefix('/')}<slug:code>/", reference.problem, name="problem"),
]
