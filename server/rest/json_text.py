"""JSON as REST takes it: UTF-8, every key once, one object; and what its values may be."""

import json
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from server.engine.values import Scalar
from server.errors import BadInput
from server.texts import shown

Object = dict[str, Any]


def parsed(text: bytes) -> Object:
    """The object in it. NaN and infinities are taken as Triton takes them. Raises BadInput."""
    try:
        found: Any = json.loads(text.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        reason = shown(str(error), 200)
        raise BadInput(f"failed to parse the request JSON buffer: {reason}") from error
    if not isinstance(found, dict):
        raise BadInput("failed to parse the request JSON buffer: it is no object")
    return found


def entries(holder: Object, key: str) -> Sequence[Object]:
    """A list of objects, empty where it is not there. Raises BadInput."""
    found = holder.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise BadInput(f"'{key}' must be a list of objects")
    return found


def text(holder: Object, key: str, usual: str | None = None) -> str:
    """A string; `usual` where it is not there. Raises BadInput."""
    found = holder.get(key, usual)
    if not isinstance(found, str):
        raise BadInput(f"'{key}' must be a string")
    return found


def parameters(holder: Object) -> Mapping[str, Scalar | None]:
    """Its `parameters`. Raises BadInput where one is a list or an object."""
    found = holder.get("parameters", {})
    if not isinstance(found, dict):
        raise BadInput("'parameters' must be an object")
    for key, value in found.items():
        if value is not None and not isinstance(value, Scalar):
            raise BadInput(f"parameter '{shown(key)}' must be a number, a string or a truth value")
    return found


def flag(given: Mapping[str, Scalar | None], key: str, usual: bool) -> bool:
    """A parameter that is true or false. Raises BadInput."""
    found = given.get(key, usual)
    if not isinstance(found, bool):
        raise BadInput(f"parameter '{key}' must be true or false")
    return found


def shape(holder: Object, name: str) -> list[int]:
    """A tensor's shape. Raises BadInput."""
    found = holder.get("shape")
    if not isinstance(found, list) or not all(type(one) is int for one in found):
        raise BadInput(f"input '{shown(name)}': 'shape' must be a list of whole numbers")
    return found


def flat(data: Any, shape: Sequence[int], name: str) -> list[Any]:
    """Elements row by row, given so or nested as the shape is. Raises BadInput."""
    if not isinstance(data, list):
        raise BadInput(f"input '{shown(name)}': 'data' must be a list")
    for size in shape[1:]:
        if not data or not isinstance(data[0], list):
            break
        if not all(isinstance(one, list) and len(one) == size for one in data):
            raise BadInput(f"input '{shown(name)}': 'data' is nested otherwise than its shape")
        data = list(chain.from_iterable(data))
    if any(isinstance(one, list | dict) for one in data):
        raise BadInput(f"input '{shown(name)}': 'data' is nested otherwise than its shape")
    return data


def _once(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has a key twice")
    return found
