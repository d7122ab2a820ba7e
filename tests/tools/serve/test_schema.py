"""The server keeps to what its description of the endpoints says, whatever it is sent."""

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.tools.serve.conftest import noise, png

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
BOUNDED = settings(
    max_examples=40,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_whatever_is_sent_is_answered_as_described(server, mode):
    schema = schemathesis.openapi.from_url(f"{server.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} == {"/seg_mask", "/bundles", "/health", "/metrics"}
    for operation in operations:
        if mode is GenerationMode.NEGATIVE and operation.method == "get":  # takes nothing that could be wrong
            continue

        @BOUNDED
        @given(operation.as_strategy(generation_mode=mode))
        def ask(case):
            response = case.call(base_url=server.url, timeout=20)
            case.validate_response(response, checks=CHECKS)

        ask()
    assert server.post(png(noise(0))).status_code == 200


def test_refusals_are_described(server):
    described = httpx.get(f"{server.url}/openapi.json").json()["paths"]["/seg_mask"]["post"]["responses"]
    assert {"400", "401", "403", "404", "406", "408", "413", "415", "421", "422", "429", "503", "504"} <= set(described)
    for code, answer in described.items():
        if code >= "400":
            assert answer["content"]["application/json"]["schema"]["required"] == ["status", "code", "message"]
