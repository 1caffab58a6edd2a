"""The OpenAPI schema: complete, with examples, valid, and the same as its committed copy."""

import re

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from smsproxy.api import contract
from smsproxy.api.problem_types import PROBLEMS
from tests.support.operations import operations as declared_operations


@pytest.fixture(scope="module")
def schema():
    return contract.make_schema()


@pytest.fixture(scope="module")
def operations(schema):
    return {each["operationId"]: each for methods in schema["paths"].values() for each in methods.values()}


def test_the_schema_is_valid_openapi(schema):
    assert list(OpenAPIV31SpecValidator(schema).iter_errors()) == []


def test_the_committed_copies_are_current():
    """`make openapi` writes them."""
    for path, text in contract.files().items():
        assert path.read_text() == text, f"{path.name} differs from the code: run `make openapi`"


def test_every_operation_is_in_the_schema(operations):
    assert set(operations) == {each.operation.id for each in declared_operations()}


def test_each_operation_says_its_scope_and_the_answers_to_a_wrong_key(operations):
    for name, operation in operations.items():
        (security,) = operation["security"]
        assert re.search(rf"Scope: `{security['apiKey'][0]}`\.", operation["description"]), name
        assert {"400", "401", "403", "429", "500", "503"} <= set(operation["responses"]), name


def test_each_response_of_an_error_is_a_problem_with_the_codes_it_may_have(schema, operations):
    for name, operation in operations.items():
        for status, response in operation["responses"].items():
            if int(status) < 400:
                continue
            if "$ref" in response:
                response = schema["components"]["responses"][response["$ref"].rpartition("/")[2]]
            content = response["content"]["application/problem+json"]
            codes = content["schema"]["allOf"][1]["properties"]["code"]["enum"]
            assert codes == list(content["examples"]), (name, status)
            assert {PROBLEMS[code].status for code in codes} == {int(status)}, (name, status)


def test_a_code_that_is_in_no_table_cannot_be_declared():
    from smsproxy.api.openapi_problems import responses

    with pytest.raises(KeyError, match="no_such_code"):
        responses(["no_such_code"])


def bodies(operations):
    """Return the reference of the schema of each body, of requests and of answers."""
    for operation in operations.values():
        if "requestBody" in operation:
            yield operation["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        for status, response in operation["responses"].items():
            if int(status) < 400 and "content" in response:
                yield response["content"]["application/json"]["schema"]["$ref"]


def test_each_body_has_an_example_that_is_valid(schema, operations):
    schemas = schema["components"]["schemas"]
    names = {ref.rpartition("/")[2] for ref in bodies(operations)} - {"NoOptions"}
    # The example of a page is that of its entries.
    names = {_entry(schemas[name]) or name for name in names}
    wrong = []
    for name in sorted(names):
        validator = OAS31Validator({"$ref": f"#/components/schemas/{name}", "components": schema["components"]})
        for example in schemas[name].get("examples", [None]):
            wrong += [(name, error.json_path, error.message[:200]) for error in validator.iter_errors(example)]

    assert {"Conversation", "Message", "EventPage", "NewConversation"} <= names
    assert wrong == []


def _entry(schema):
    if "examples" in schema:
        return None
    return schema["properties"].get("results", {}).get("items", {}).get("$ref", "").rpartition("/")[2]


def test_each_field_of_a_body_has_a_description(schema):
    described = {"Problem", "FieldError"}
    missing = [
        f"{name}.{field}"
        for name, component in schema["components"]["schemas"].items()
        for field, about in component.get("properties", {}).items()
        if name not in described and "description" not in about and "$ref" not in about and "oneOf" not in about
    ]

    assert missing == []


def test_each_example_of_a_problem_is_valid(schema):
    validator = OAS31Validator({"$ref": "#/components/schemas/Problem", "components": schema["components"]})
    for code, example in schema["components"]["examples"].items():
        assert list(validator.iter_errors(example["value"])) == [], code


def test_the_schema_is_written_for_the_caller_not_for_the_operator(schema):
    """Help texts of models are for staff: they name settings and files, which a caller does not have."""
    wrong = [text for text in texts(schema) if re.search(r"manage\.py|\.py\b|\b[A-Z]{3,}_[A-Z_]{3,}\b|\.env\b", text)]

    assert wrong == []


def texts(node):
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("description", "detail", "summary", "title") and isinstance(value, str):
                yield value
            yield from texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts(value)


def test_no_description_is_missing_at_a_parameter(operations):
    for name, operation in operations.items():
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])


def test_an_id_in_a_path_has_the_name_of_its_field(schema):
    assert "/api/v1/conversations/{id}/" in schema["paths"]
    for path, methods in schema["paths"].items():
        for operation in methods.values():
            names = [each["name"] for each in operation.get("parameters", ()) if each["in"] == "path"]
            assert sorted(names) == sorted(re.findall(r"{(\w+)}", path))
            assert set(names) <= {"id", "position"}


def test_each_answer_names_the_values_that_an_option_may_have(schema):
    schemas = schema["components"]["schemas"]

    for name in ("stickiness", "on_exhausted", "on_existing", "late_messages"):
        asked, answered = (schemas[each]["properties"][name] for each in ("NewConversation", "Conversation"))
        assert {*answered["enum"], None} == {*asked["enum"]}
    assert schemas["Block"]["properties"]["status"]["enum"] == ["active", "ended"]
    assert schemas["Block"]["properties"]["created_by"]["enum"] == ["api", "staff"]


def test_a_warning_of_the_generator_is_an_error(monkeypatch):
    from drf_spectacular.drainage import warn

    monkeypatch.setattr("smsproxy.api.openapi.Schema.get_summary", lambda self: warn("a guess"))

    with pytest.raises(contract.SchemaWarnings):
        contract.make_schema()
