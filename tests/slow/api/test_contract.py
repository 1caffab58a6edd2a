"""Generated requests against every operation of the API, by Schemathesis.

No request ends in a 500. Each answer has a status, a content type and a body that the schema has, and a code that the
operation declares. A request that breaks the schema is rejected, with and without a valid key.
"""

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.urls import resolve
from hypothesis import HealthCheck, settings
from schemathesis import GenerationMode
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.specs.openapi.checks import positive_data_acceptance

from smsproxy.api.contract import make_schema
from smsproxy.api.models import ApiKey
from smsproxy.wsgi import application
from tests.support.builders import ALICE, BOB, CHARLIE
from tests.support.endpoints import SAMPLES, World

CONFIG = ProjectConfig(generation=GenerationConfig(deterministic=True, with_security_parameters=False))
schema = schemathesis.openapi.from_dict(
    make_schema(), config=SchemathesisConfig(projects=ProjectsConfig(default=CONFIG))
)
schema.app = application

pytestmark = pytest.mark.django_db

# A schema cannot say which numbers exist, or which conversations are open. So a request that it allows may be a 400.
NOT_CHECKED = [positive_data_acceptance]


@schema.parametrize()
@settings(max_examples=30, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_generated_request_is_answered_as_the_schema_says(case, key, world):
    _make_real(case, world)

    case.call_and_validate(headers={"Authorization": f"Bearer {key}"}, excluded_checks=NOT_CHECKED)


@pytest.fixture
def key(world):
    return ApiKey.objects.issue("contract", service=world.service, scopes="read write numbers")[1]


@pytest.fixture
def world(db):
    return World()


@pytest.fixture(autouse=True)
def _one_connection(db):
    """Keep the connection of the test's transaction, as Django's test client does."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def _make_real(case, world):
    """Let the request be about things that exist, where it does not break the schema on purpose."""
    if case.path_parameters and _is_valid(case, ParameterLocation.PATH):
        endpoint = resolve(case.formatted_path).url_name
        path = SAMPLES[endpoint, case.method].path(world)
        for name in case.path_parameters:
            case.path_parameters[name] = str(path[name])
    if _is_valid(case, ParameterLocation.BODY) and isinstance(case.body, dict):
        people = zip(case.body.get("participants", ()), (ALICE, BOB, CHARLIE), strict=False)
        for person, number in people:
            person["number"] = number


def _is_valid(case, location):
    component = case.meta.components.get(location)
    return component is not None and component.mode is GenerationMode.POSITIVE
