"""Starts as production brings them: Kubernetes' variables, IPv6, odd locales and paths, broken runtimes."""

import os
import re
import shutil
import urllib.request
from pathlib import Path
from socket import AF_INET6, has_ipv6, socket

import grpc
import pytest

from tests.support.kubernetes import a_service
from tests.support.serving.commands import GEARSHIFT, assert_answers, gearshift, started
from tests.support.serving.families import ECHO, publish_mlp, publish_scripted, rows
from tests.support.serving.server import (
    a_request,
    refused_start,
    serve_command,
    serving,
    surroundings,
)


def can_ipv6() -> bool:
    try:
        with socket(AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return has_ipv6


with_ipv6 = pytest.mark.skipif(not can_ipv6(), reason="needs IPv6 on loopback")


def test_what_kubernetes_injects_is_passed_over_in_one_line(tmp_path: Path, models: Path):
    injected = a_service("GEARSHIFT") | a_service("GEARSHIFT_METRICS") | a_service("GEARSHIFT_HTTP")

    with serving(models, tmp_path, GEARSHIFT_WORKRES="1", **injected) as server:
        assert_answers(server)

    warnings = [line for line in server.lines if " WARNING environment" in line]
    assert len(warnings) == 2, server.log
    assert f"passed over {len(injected)} variables" in warnings[0]
    assert (
        "GEARSHIFT_WORKRES is no key of ours and does nothing; did you mean GEARSHIFT__MACHINE__WORKERS?"
        in warnings[1]
    )


def test_the_ports_of_a_file_stand_beside_what_kubernetes_injects(tmp_path: Path, models: Path):
    file = tmp_path / "g.toml"
    file.write_text(
        f'host = "127.0.0.1"\nport = 0\nhttp_port = 0\nrest_port = 0\nrepository = "{models}"\n'
    )
    launch = [*GEARSHIFT, "serve", str(file)]

    with started(launch, surroundings(tmp_path, a_service("GEARSHIFT"))) as server:
        assert server.port not in (0, 8001)


def test_a_bad_value_that_a_flag_overrides_is_told_and_not_judged(tmp_path: Path, models: Path):
    with serving(models, tmp_path, "--workers", "1", GEARSHIFT__MACHINE__WORKERS="many") as server:
        assert_answers(server)

    assert (
        "environment: GEARSHIFT__MACHINE__WORKERS = 'many': must be a whole number; it is overridden and not used"
        in server.log
    )
    said = refused_start(tmp_path, "--repository", str(models), GEARSHIFT__MACHINE__WORKERS="many")
    assert "GEARSHIFT__MACHINE__WORKERS = 'many'" in said


@with_ipv6
@pytest.mark.parametrize("host", ["::", "::1", "[::1]"])
def test_ipv6_is_served_and_asked(tmp_path: Path, models: Path, host: str):
    with serving(models, tmp_path, "--host", host, wait=False) as server:
        server.channel = grpc.insecure_channel(f"[::1]:{server.port}")
        server.await_serving()
        assert_answers(server)
        url = f"[::1]:{server.port}"
        status = gearshift("status", "--url", url, cache=tmp_path)
        tasks = gearshift("tasks", "--url", url, cache=tmp_path)
        driven = gearshift(
            "loadtest",
            "--url",
            url,
            "--model",
            "echo",
            "--duration-s",
            "0.3",
            "--json",
            cache=tmp_path,
        )
        with urllib.request.urlopen(f"http://[::1]:{server.http_port}/readyz") as page:
            assert page.status == 200
        if host == "::":
            with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/readyz") as page:
                assert page.status == 200

    assert f"gRPC on [{host.strip('[]')}]:{server.port}, metrics on http://[" in server.log
    assert (status.returncode, driven.returncode) == (0, 0), (status.stderr, driven.stderr)
    assert (
        "UNIMPLEMENTED" in tasks.stderr
        or "serves no task" in tasks.stderr
        or "no gearshift" in tasks.stderr
    )


LOCALES = (
    {"LC_ALL": "C"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    {"PYTHONIOENCODING": "latin-1"},
)


@pytest.mark.parametrize("locale", LOCALES)
def test_paths_and_locales_need_not_be_utf8(tmp_path: Path, locale: dict[str, str]):
    place = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")
    root = Path(place) / "models"
    root.mkdir(parents=True)
    publish_scripted(root, ECHO)
    publish_mlp(root)
    stray = root / os.fsdecode(b"\xff\xfe")
    shutil.copytree(root / "echo", stray)
    shutil.copytree(root / "echo", root / "naïve")

    with started(
        serve_command("--repository", str(root)), surroundings(tmp_path, locale)
    ) as server:
        assert_answers(server)
        server.infer(a_request("mlp", rows(1.0)))
    verified = gearshift("models", "verify", "--repository", str(root), cache=tmp_path, **locale)
    profiled = gearshift(
        "profile", "--repository", str(root), "--family", "nobody", cache=tmp_path, **locale
    )

    assert len(re.findall("ERROR family .* is not served", server.log)) == 2
    assert (verified.returncode, profiled.returncode) == (2, 2)
    assert "mlp: 2 artefacts verified" in verified.stdout
    for words in (
        ["serve", f"{place}/none.toml"],
        ["plan-tasks", f"{place}/none"],
        ["status", "--url", place],
        ["serve", "--host", place],
    ):
        assert gearshift(*words, cache=tmp_path, **locale).returncode == 2


def test_a_byte_order_mark_is_no_matter(tmp_path: Path, models: Path):
    def marked(path: Path) -> Path:
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
        return path

    manifest = models / "echo" / "family.toml"
    (models / "echo" / "names.txt").write_text("a\nb\nc\nd\n")
    lines = [line for line in manifest.read_text().splitlines() if not line.startswith("labels")]
    manifest.write_text("\n".join(['labels = "names.txt"', *lines]))
    marked(manifest)
    marked(models / "echo" / "names.txt")
    file = tmp_path / "g.toml"
    file.write_text(f'repository = "{models}"\n')

    with started([*serve_command(), str(marked(file))], surroundings(tmp_path, {})) as server:
        assert_answers(server)

    verified = gearshift("models", "verify", "--repository", str(models), cache=tmp_path)
    assert verified.returncode == 0


_MISSING = "libfoo.so: cannot open shared object file"
BREAKING = {
    "OSError": ("raise OSError('libfoo.so: cannot open it')", "OSError: libfoo.so: cannot open"),
    "two lines": ("raise RuntimeError('''one\nother''')", "RuntimeError: one other"),
    "exit": ("raise SystemExit(3)", "SystemExit: 3"),
    "nothing": ("import nothing_here", "No module named 'nothing_here'"),
    "empty": ("", "AttributeError: "),
}


@pytest.mark.parametrize("what", BREAKING)
@pytest.mark.parametrize("package", ["openvino", "onnxruntime"])
def test_a_runtime_that_cannot_be_imported_is_left_out_with_one_line(
    tmp_path: Path, package: str, what: str
):
    code, words = BREAKING[what]
    (tmp_path / "broken" / package).mkdir(parents=True)
    (tmp_path / "broken" / package / "__init__.py").write_text(code)
    publish_mlp(tmp_path / "models")
    environment = surroundings(tmp_path, {"PYTHONPATH": str(tmp_path / "broken")})

    with started(serve_command("--repository", str(tmp_path / "models")), environment) as server:
        answer = server.infer(a_request("mlp", rows(1.0)))

    said = [line for line in server.lines if "WARNING runtime" in line]
    assert answer.parameters["backend"].string_param not in ("", package)
    assert len(said) == 1, server.log
    if (package, what) != ("onnxruntime", "empty"):
        assert words in said[0]
    assert "going on without it" in said[0]
