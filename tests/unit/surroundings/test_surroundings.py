"""What surrounds the process: quiet libraries, folders without a home, odd consoles, addresses, variables."""

import ast
import sys
from pathlib import Path

import pytest

from surroundings.addresses import bare, joined, target
from surroundings.variables import injected, unknown
from tests.support.kubernetes import a_service

ROOT = Path(__file__).resolve().parents[3]
PACKAGES = ("gearshift", "loadtest", "models", "profiler", "server", "trainer")
LIBRARIES = {
    "matplotlib",
    "onnx",
    "onnxruntime",
    "openvino",
    "sklearn",
    "tensorboard",
    "tensorrt",
    "torch",
}


def imported(node: ast.AST) -> set[str]:
    """The top-level packages that a statement imports."""
    if isinstance(node, ast.Import):
        return {alias.name.split(".")[0] for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        return {(node.module or "").split(".")[0]}
    return set()


def imports(path: Path) -> list[set[str]]:
    """What a file imports, statement by statement as they stand in it."""
    found = [n for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if imported(n)]
    return [imported(n) for n in sorted(found, key=lambda n: n.lineno)]  # type: ignore[attr-defined] - statements have one


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_quietens_libraries_before_it_imports_anything(package: str):
    assert imports(ROOT / package / "__init__.py")[0] == {"surroundings"}


@pytest.mark.parametrize(
    "path", [p for f in ("benchmarks", "scripts") for p in (ROOT / f).rglob("*.py")], ids=str
)
def test_a_script_imports_a_library_only_after_what_quietens_it(path: Path):
    ours = {"surroundings", *PACKAGES}
    seen = imports(path)
    first = next((i for i, names in enumerate(seen) if names & LIBRARIES), None)

    by_itself = 'os.environ["ORT_DISABLE_TELEMETRY"] = "1"' in path.read_text(encoding="utf-8")
    assert first is None or by_itself or any(names & ours for names in seen[:first])


def test_surroundings_imports_nothing_that_it_should_keep_quiet():
    for path in (ROOT / "surroundings").glob("*.py"):
        names = {name for some in imports(path) for name in some}
        assert names - {"surroundings"} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "name", ["GEARSHIFT", "GEARSHIFT_METRICS", "GEARSHIFT_HTTP", "GEARSHIFT_2"]
)
@pytest.mark.parametrize("address", ["10.96.12.7", "[fd00::1]"])
def test_all_that_kubernetes_makes_of_a_service_is_recognised(name: str, address: str):
    environment = a_service(name, address)

    assert injected(environment, ("PORT", "HTTP_PORT", "HOST")) == list(environment)


def test_links_of_containers_are_recognised():
    environment = {
        "GEARSHIFT_NAME": "/web/gearshift",
        "GEARSHIFT_ENV_PATH": "/bin",
        "GEARSHIFT_WEB_ENV_X": "1",
        "GEARSHIFT_PORT_8001_TCP_START": "8001",
        "GEARSHIFT_PORT_8001_TCP_END": "8002",
    }

    assert injected(environment, ("PORT",)) == list(environment)


def test_what_an_operator_sets_is_not_taken_for_an_orchestrators():
    environment = {
        "GEARSHIFT_PORT": "8001",
        "GEARSHIFT_HOST": "::",
        "GEARSHIFT_PORTT": "1",
        "OTHER_PORT": "tcp://x:1",
    }

    assert injected(environment, ("PORT", "HOST")) == []


def test_a_misspelt_variable_is_told_with_the_nearest():
    assert unknown(
        ["GEARSHIFT_WORKRES", "GEARSHIFT_PORT", "HOME", "GEARSHIFT_XYZZY", "GEARSHIFT_port"],
        ("PORT", "WORKERS"),
    ) == [
        "environment: GEARSHIFT_WORKRES is no key of ours and does nothing; did you mean GEARSHIFT_WORKERS?",
        "environment: GEARSHIFT_XYZZY is no key of ours and does nothing",
        "environment: GEARSHIFT_port is no key of ours and does nothing; did you mean GEARSHIFT_PORT?",
    ]


@pytest.mark.parametrize(
    ("host", "whole"),
    [
        ("0.0.0.0", "0.0.0.0:1"),
        ("::", "[::]:1"),
        ("[::1]", "[::1]:1"),
        ("fe80::1%eth0", "[fe80::1%eth0]:1"),
    ],
)
def test_an_ipv6_host_gets_its_brackets(host: str, whole: str):
    assert joined(host, 1) == whole
    assert bare(joined(host, 1)[:-2]) == bare(host)


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("localhost:8001", "localhost:8001"),
        ("[::1]:9", "[::1]:9"),
        ("::1", "[::1]:8001"),
        ("[::1]", "[::1]:8001"),
    ],
)
def test_a_servers_address_is_what_grpc_takes(url: str, whole: str):
    assert target(url) == whole
