"""Starts as production brings them: Kubernetes' variables, IPv6, no home, odd locales and paths, broken runtimes."""

import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import AF_INET6, has_ipv6, socket

import grpc
import pytest

from tests.support.serving.families import ECHO, expected_echo, publish_mlp, publish_scripted, rows
from tests.support.serving.server import (
    ROOT,
    Server,
    a_request,
    output,
    refused_start,
    serve_command,
    serving,
    surroundings,
)
from tests.unit.surroundings.test_surroundings import a_service

SETPRIV = shutil.which("setpriv")
_KEPT = "+dac_read_search"
NOBODY = (
    *("--reuid", "12345", "--regid", "12345", "--clear-groups"),
    *("--inh-caps", _KEPT, "--ambient-caps", _KEPT),
)
"""A user without a passwd entry who may read all and write nothing of ours: pythons lie in odd places."""
OBEYING = (
    "--bounding-set",
    "-dac_override,-dac_read_search",
    "--inh-caps",
    "-dac_override,-dac_read_search",
)
"""Root, for whom permissions count."""
as_root = pytest.mark.skipif(
    SETPRIV is None or os.getuid() != 0, reason="needs root and setpriv (util-linux)"
)


def can_ipv6() -> bool:
    try:
        with socket(AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return has_ipv6


with_ipv6 = pytest.mark.skipif(not can_ipv6(), reason="needs IPv6 on loopback")


def command(
    *words: str, cache: Path, prefix: Sequence[str] = (), **environment: str
) -> "subprocess.CompletedProcess[bytes]":
    """`gearshift WORDS`, from end to end; it must not show a traceback."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "gearshift", *words],
        cwd=ROOT,
        env=surroundings(cache, environment),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    return done


@contextmanager
def started(command: Sequence[str], environment: Mapping[str, str]) -> Generator[Server]:
    """A server started by this command line in just this environment; it must end with 0 and without a traceback."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=dict(environment),
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as process:
        try:
            server = Server(process)
            server.await_serving()
            yield server
            server.channel.close()
            server.terminate()
            assert server.ended() == 0, server.log
            assert "Traceback" not in server.log
        finally:
            process.kill()


def assert_answers(server: Server) -> None:
    assert output(server.infer(a_request("echo", rows(1.0)))) == pytest.approx(
        expected_echo(rows(1.0))
    )


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with neither HOME nor PATH, its temporary files in a folder that anybody may write to."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return {"TMPDIR": str(temporary), "GEARSHIFT__PROFILES__BUDGET_S": "1"}


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
    file.write_text(f'host = "127.0.0.1"\nport = 0\nhttp_port = 0\nrepository = "{models}"\n')
    launch = [sys.executable, "-m", "gearshift", "serve", str(file)]

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
        status = command("status", "--url", url, cache=tmp_path)
        tasks = command("tasks", "--url", url, cache=tmp_path)
        driven = command(
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
        b"UNIMPLEMENTED" in tasks.stderr
        or b"serves no task" in tasks.stderr
        or b"no gearshift" in tasks.stderr
    )


@as_root
@pytest.mark.parametrize("home", [{}, {"HOME": "/"}, {"HOME": "/nonexistent"}])
def test_a_user_without_a_home_is_served_with_one_clear_line(
    models: Path, bare: dict[str, str], home: dict[str, str]
):
    launch = [str(SETPRIV), *NOBODY, *serve_command("--repository", str(models))]

    with started(launch, bare | home) as server:
        assert_answers(server)

    said = [line for line in server.lines if "WARNING" in line and "hardware" not in line]
    assert len(said) == 1, server.log
    if home:
        assert "profiles cannot be stored in" in said[0]
    else:
        kept = Path(bare["TMPDIR"]) / "gearshift-12345"
        assert "there is no home folder (HOME is not set and user 12345 has none)" in said[0]
        assert f"profiles, verdicts and caches are kept in {kept}" in said[0]
        assert list((kept / "gearshift" / "profiles").glob("echo-*.json"))
        assert kept.stat().st_mode & 0o777 == 0o700


@as_root
@pytest.mark.parametrize(
    "words",
    [
        "models list",
        "models verify",
        "profile --family nobody",
        "serve",
        "status --url 127.0.0.1:1",
        "plan-tasks none",
        "simulate --profile none --slo-ms 5 --rate-rps 1",
    ],
)
def test_no_command_minds_that_there_is_no_home(bare: dict[str, str], words: str):
    launch = [str(SETPRIV), *NOBODY, sys.executable, "-m", "gearshift", *words.split()]

    done = subprocess.run(
        launch, cwd=ROOT, env=bare, capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr


@as_root
def test_what_cannot_be_looked_into_is_no_matter(tmp_path: Path, models: Path):
    for name in ("lost+found", "private"):
        (models / name).mkdir(mode=0o000)
    launch = [str(SETPRIV), *OBEYING, *serve_command("--repository", str(models))]

    with started(launch, surroundings(tmp_path, {})) as server:
        assert_answers(server)
    listed = command(
        "models", "list", "--repository", str(models), cache=tmp_path, prefix=launch[:5]
    )

    assert "lost+found" not in server.log
    assert (
        f"family private is not served, the others are: {models}/private cannot be read: Permission denied"
        in server.log
    )
    assert listed.returncode == 2
    assert listed.stdout.startswith(b"echo")
    assert listed.stderr.count(b"\n") == 1


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
    verified = command("models", "verify", "--repository", str(root), cache=tmp_path, **locale)
    profiled = command(
        "profile", "--repository", str(root), "--family", "nobody", cache=tmp_path, **locale
    )

    assert len(re.findall("ERROR family .* is not served", server.log)) == 2
    assert (verified.returncode, profiled.returncode) == (2, 2)
    assert b"mlp: 2 artefacts verified" in verified.stdout
    for words in (
        ["serve", f"{place}/none.toml"],
        ["plan-tasks", f"{place}/none"],
        ["status", "--url", place],
        ["serve", "--host", place],
    ):
        assert command(*words, cache=tmp_path, **locale).returncode == 2


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

    assert command("models", "verify", "--repository", str(models), cache=tmp_path).returncode == 0


_MISSING = "libfoo.so: cannot open shared object file"
BREAKING = {
    "OSError": (f"raise OSError('{_MISSING}')", "OSError: libfoo.so: cannot open"),
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


@pytest.mark.parametrize(
    "words",
    [
        "models list --repository {0}",
        "profile --family echo --budget-s 1 --repository {0}",
        "status --url 127.0.0.1:1",
    ],
)
def test_closed_standard_streams_are_no_matter(tmp_path: Path, models: Path, words: str):
    launch = f"{sys.executable} -m gearshift {words.format(models)}"

    done = subprocess.run(
        ["sh", "-c", f"{launch} <&- >&- 2>&-"],
        cwd=ROOT,
        env=surroundings(tmp_path, {}),
        timeout=60,
        check=False,
    )

    assert done.returncode == (2 if "url" in words else 0)


@pytest.mark.parametrize("words", ["--help", "serve --help", "models list --repository {0}"])
def test_output_that_cannot_be_written_is_said_and_blamed_on_nothing_else(
    tmp_path: Path, models: Path, words: str
):
    def ran(target: str) -> "subprocess.CompletedProcess[str]":
        launch = f"{sys.executable} -m gearshift {words.format(models)} {target}"
        return subprocess.run(
            ["bash", "-c", launch],
            cwd=ROOT,
            env=surroundings(tmp_path, {}),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    full, left = ran("> /dev/full"), ran("| true; exit ${PIPESTATUS[0]}")

    assert (full.returncode, full.stderr) == (
        2,
        "standard output cannot be written to: No space left on device\n",
    )
    assert (left.returncode, left.stderr) == (0, "")


def test_errors_that_cannot_be_written_leave_the_exit_code_as_it_is(tmp_path: Path):
    launch = f"{sys.executable} -m gearshift status --url 127.0.0.1:1 2> /dev/full"

    done = subprocess.run(
        ["sh", "-c", launch], cwd=ROOT, env=surroundings(tmp_path, {}), timeout=60, check=False
    )

    assert done.returncode == 2


def test_a_server_whose_standard_streams_are_closed_serves(tmp_path: Path, models: Path):
    port = _free_port()
    launch = " ".join(
        [
            sys.executable,
            "-m",
            "gearshift",
            "serve",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--http-port",
            "0",
            "--repository",
            str(models),
        ]
    )

    with subprocess.Popen(
        ["sh", "-c", f"exec {launch} <&- >&- 2>&-"], cwd=ROOT, env=surroundings(tmp_path, {})
    ) as process:
        try:
            channel = grpc.insecure_channel(f"127.0.0.1:{port}")
            grpc.channel_ready_future(channel).result(timeout=30)
            channel.close()
            process.terminate()
            assert process.wait(30) == 0
        finally:
            process.kill()


def _free_port() -> int:
    with socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
