"""The description of REST has the paths that are there, no others, and refers to what it defines."""

import json
import re
from importlib.resources import files
from typing import Any
from unittest.mock import MagicMock

import pytest
from starlette.routing import Route

from server.rest.codes import CODES
from server.rest.routes import RestPages

DESCRIPTION: dict[str, Any] = json.loads(
    files("server.rest").joinpath("openapi.json").read_text(encoding="utf-8")
)


def test_it_has_the_pages_that_are_there_and_no_others():
    pages = RestPages(MagicMock(), MagicMock(), MagicMock())
    routes = [one for one in pages.app().routes if isinstance(one, Route)]
    pages.close()

    there = {(one.path, method.lower()) for one in routes for method in (one.methods or ())}

    described = {(path, method) for path, ways in DESCRIPTION["paths"].items() for method in ways}
    assert {one for one in there if one[1] != "head"} == described


def test_every_reference_leads_somewhere():
    names = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DESCRIPTION))

    assert set(names) == set(DESCRIPTION["components"]["schemas"])


def test_every_part_of_a_path_is_a_parameter_and_every_operation_has_a_name_of_its_own():
    operations = [
        (path, one) for path, ways in DESCRIPTION["paths"].items() for one in ways.values()
    ]
    for path, one in operations:
        named = {given["name"] for given in one.get("parameters", []) if given["in"] == "path"}
        assert named == set(re.findall(r"{(\w+)}", path)), path
    assert len({one["operationId"] for _, one in operations}) == len(operations)


@pytest.mark.parametrize("kind", [one for one in CODES if one.__name__ != "CannotLoad"])
def test_all_that_may_become_of_a_request_is_described(kind: type[Exception]):
    answers = DESCRIPTION["paths"]["/v2/models/{model}/infer"]["post"]["responses"]

    assert str(int(CODES[kind])) in answers  # type: ignore[index] - a kind of the table
