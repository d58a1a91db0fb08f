"""The native front as it is built is the one whose sources are here."""

import hashlib
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "native" / "front"


def test_what_is_built_is_of_these_sources():
    core = pytest.importorskip("server.rpc.transport.native._core", reason="not built: make native")
    found = hashlib.sha256()
    for path in sorted([*FOLDER.glob("*.cc"), *FOLDER.glob("*.h")]):
        found.update(path.name.encode() + b"\0" + path.read_bytes())

    assert core.sources == found.hexdigest(), "build it anew: make native"
