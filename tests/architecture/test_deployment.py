"""What deploy/ brings fits the server: its keys, its ports, its metrics, its time to stop."""

import configparser
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.config import KEYS, Config
from surroundings.variables import PREFIX
from tests.support.watching.names import known

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted([*(DEPLOY / "kubernetes").glob("*.yaml"), *(DEPLOY / "kserve").glob("*.yaml")])
SERVER = Config().server
PORTS = {"http": SERVER.rest_port, "grpc": SERVER.port, "metrics": SERVER.http_port}


def documents(path: Path) -> list[Any]:
    """All of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def named(path: str, kind: str) -> Any:
    """The one document of this kind."""
    (found,) = [one for one in documents(DEPLOY / path) if one["kind"] == kind]
    return found


@pytest.fixture
def pod() -> Any:
    """What the StatefulSet's pods are."""
    return named("kubernetes/statefulset.yaml", "StatefulSet")["spec"]["template"]


@pytest.mark.parametrize("name", ["disruption", "service", "statefulset"])
def test_kubernetes_own_schemas_hold_a_manifest(name: str):
    validate = pytest.importorskip("kubernetes_validate", reason="pip install kubernetes-validate")

    for one in documents(DEPLOY / "kubernetes" / f"{name}.yaml"):
        validate.validate(one, "1.33", strict=True)


def test_every_variable_that_is_set_is_a_key():
    texts = [path.read_text() for path in [*MANIFESTS, *DEPLOY.glob("*.*")]]
    said = {name for text in texts for name in re.findall(rf"{PREFIX}_\w+", text)}
    keys = {key.variable for key in KEYS}

    assert said
    assert said - keys == set()


def test_ports_are_the_servers_and_services_lead_to_them(pod: Any):
    (container,) = pod["spec"]["containers"]
    own = {one["name"]: one["containerPort"] for one in container["ports"]}
    leading = [one for one in documents(DEPLOY / "kubernetes/service.yaml") if one["spec"]["ports"]]

    assert own == PORTS
    assert container["startupProbe"]["grpc"]["port"] == SERVER.port
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == str(SERVER.http_port)
    for service in leading:
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        assert all(own[one["targetPort"]] == one["port"] for one in service["spec"]["ports"])


def test_a_pod_has_the_time_that_the_server_takes_to_stop(pod: Any):
    (container,) = pod["spec"]["containers"]
    delay_s = {one["name"]: one["value"] for one in container["env"]}

    least_s = float(delay_s[f"{PREFIX}_SERVER__SHUTDOWN_DELAY_S"]) + SERVER.drain_s
    assert pod["spec"]["terminationGracePeriodSeconds"] > least_s


def test_a_pod_writes_nowhere_but_in_its_volumes(pod: Any):
    (container,) = pod["spec"]["containers"]
    mounts = {one["mountPath"] for one in container["volumeMounts"]}
    folders = [one["value"] for one in container["env"] if one["value"].startswith("/")]

    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert all(any(Path(one).is_relative_to(mount) for mount in mounts) for one in folders)
    assert len(folders) == 2


def test_what_scales_asks_for_metrics_that_there_are():
    spec = named("kubernetes/autoscaling.yaml", "ScaledObject")["spec"]
    queries = [one["metadata"]["query"] for one in spec["triggers"]]
    asked = {name for query in queries for name in re.findall(r"gearshift_\w+", query)}

    assert len(queries) == 3
    assert asked - known() == set()
    target = named("kubernetes/statefulset.yaml", "StatefulSet")["metadata"]["name"]
    assert spec["scaleTargetRef"]["name"] == target


def test_kserves_runtime_offers_a_port_that_speaks_what_it_says():
    spec = named("kserve/runtime.yaml", "ClusterServingRuntime")["spec"]
    (container,) = spec["containers"]

    assert spec["protocolVersions"] == ["v2", "grpc-v2"]
    assert [(p["name"], p["containerPort"]) for p in container["ports"]] == [("h2c", SERVER.port)]
    assert container["args"] == ["serve", "/mnt/models"]


def test_what_compose_mounts_is_there_and_ports_are_the_servers():
    services = documents(DEPLOY / "compose.yaml")[0]["services"]
    mounted = [v.split(":")[0] for one in services.values() for v in one.get("volumes", ())]
    ports = {int(one.split(":")[1]) for one in services["gearshift"]["ports"]}

    assert all((DEPLOY / one).exists() for one in mounted if one.startswith("."))
    assert set(PORTS.values()) <= ports


def test_the_unit_of_systemd_starts_the_server_and_gives_it_time():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] - names have capitals
    unit.read(DEPLOY / "gearshift.service")
    service = unit["Service"]

    assert service["ExecStart"].split()[:2] == ["/opt/gearshift/.venv/bin/gearshift", "serve"]
    assert float(service["TimeoutStopSec"]) > SERVER.drain_s
    assert service["RestartPreventExitStatus"] == "2"
