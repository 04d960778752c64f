"""The description of the service: complete, committed, and true."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sbf_api import examples
from sbf_api.openapi import TAGS, dump
from sbf_api.problems import MEDIA_TYPE, Problem
from sbf_api.routing import KINDS

if TYPE_CHECKING:
    from tests.api.conftest import Client

HEADERS = {"allow", "etag", "location", "retry-after", "www-authenticate", "x-cache", "x-request-id"}
"""Those of an answer that tell something of the request; names of allowances come on top."""
COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    described: dict[str, Any] = json.loads(dump())
    return described


def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {told["operationId"]: told for item in document["paths"].values() for told in item.values()}


def test_the_committed_description_is_that_of_the_code() -> None:
    assert COMMITTED.read_text(encoding="utf-8") == dump(), "run: python -m sbf_api.openapi docs/openapi.json"


def test_the_service_shows_it(anonymous: Client, document: dict[str, Any]) -> None:
    assert anonymous("GET", "/openapi.json").json == document


def test_every_operation_is_described_with_examples_errors_and_who_may(document: dict[str, Any]) -> None:
    told = operations(document)
    for kind in KINDS:
        one = told[kind.__name__]
        assert one["summary"]
        assert set(one["tags"]) <= set(TAGS)
        assert one["security"] == ([] if kind.public else [{"bearer": []}])
        assert {"400", "401", "404", "409", "413", "422", "429", "500", "503"} <= set(one["responses"])
        assert ("403" in one["responses"]) is not kind.public
        for media in one.get("requestBody", {}).get("content", {}).values():
            assert media["example"] == examples.REQUESTS[kind]
        good = next(response for code, response in one["responses"].items() if code.startswith("2"))
        if kind.result is not None:
            assert next(iter(good["content"].values()))["example"]


def test_every_error_is_described_with_an_example(document: dict[str, Any]) -> None:
    told = document["components"]["responses"]
    for error in told.values():
        problem = error["content"][MEDIA_TYPE]["example"]
        assert Problem.model_validate(problem).code == problem["code"]
    for name in ("TooManyRequests", "StoreUnavailable"):
        assert "Retry-After" in told[name]["headers"]


@pytest.mark.parametrize("status", [200, 304, 401, 404, 405, 422, 431])
def test_the_headers_an_answer_has_are_described(call: Client, document: dict[str, Any], status: int) -> None:
    method, path, sent, template = "GET", "/notebooks", {}, "/notebooks"
    if status == 304:
        sent = {"If_None_Match": call(method, path).headers["etag"]}
    elif status == 401:
        sent = {"Authorization": "Bearer sbf_x"}
    elif status == 404:
        path, template = f"/sources/{examples.SOURCE}", "/sources/{source_id}"
    elif status == 405:
        method = "PUT"
    elif status == 422:
        path = "/notebooks?limit=1000"
    elif status == 431:
        path, sent = "/notebooks?search=" + "x" * 60_000, {"X_Long": "x" * 10_000}
    found = call(method, path, **sent)
    assert found.status == status
    told = document["paths"][template]["get"]["responses"][str(status)]
    if "$ref" in told:
        told = document["components"]["responses"][told["$ref"].rpartition("/")[2]]
    has = {name for name in found.headers if name in HEADERS or name.startswith("x-ratelimit")}
    assert has <= {name.lower() for name in told["headers"]}


def test_every_example_is_a_request_its_operation_takes() -> None:
    path = {name: examples.NOTEBOOK for kind in KINDS for name in kind.model_fields if name.endswith("_id")} | {
        "page": 1
    }
    for kind in KINDS:
        named = {name: path.get(name, "grace") for name in kind.model_fields if f"{{{name}}}" in kind.path}
        kind.model_validate({**named, **examples.REQUESTS.get(kind, {})})


def test_every_reference_resolves_and_every_id_is_there_once(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for reference in set(re.findall(r'"#/components/(\w+)/(\w+)"', text)):
        assert reference[1] in document["components"][reference[0]]
    ids = [told["operationId"] for item in document["paths"].values() for told in item.values()]
    assert len(ids) == len(set(ids))
