"""The load generator against a small real server in a process of its own: outcomes, reports and
refusals."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from loadtest.__main__ import main
from loadtest.client import ClosedLoop, OpenLoop, drive
from loadtest.errors import BadTarget
from loadtest.fleet import drive_all
from loadtest.inputs import Demand, build_pool
from loadtest.pictures import Album, from_folder
from loadtest.reporting.report import summarise
from loadtest.target import Target, discover
from tests.support.serving.commands import free_port
from wire import inference_pb2 as pb

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """The address of a running echo server."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.support.serving.loadtest_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    with server:
        assert server.stdout is not None
        yield f"127.0.0.1:{int(server.stdout.readline())}"
        assert server.stdin is not None
        server.stdin.close()


def a_pool(target: Target) -> list[bytes]:
    """Requests for the target's own signature."""
    return build_pool(target.model, discover(target), Demand(), Album("none"), seed=0)


def test_an_open_loop_records_every_arrival_once_and_all_in_time(url: str):
    target = Target(url, "echo")
    arrivals = np.arange(200) / 400.0

    records = drive(target, a_pool(target), OpenLoop(arrivals))

    assert sorted(records.column("scheduled_s")) == pytest.approx(arrivals)
    assert summarise(records, 1.0)["outcomes"]["ok"] == 200
    assert (records.column("done_s") > records.column("sent_s")).all()
    assert records.arms == (("small", "int8", "echo"),)


def test_a_closed_loop_keeps_its_clients_busy_until_the_time_is_over(url: str):
    target = Target(url, "echo")

    records = drive(target, a_pool(target), ClosedLoop(concurrency=8, duration_s=2.0))

    summary = summarise(records, None, 2.0)
    assert summary["attainment"] == 1.0
    assert summary["offered"] > 100
    assert records.column("scheduled_s").max() < 2.0


def test_two_processes_share_the_arrivals_and_merge_their_records(url: str):
    target = Target(url, "echo")
    arrivals = np.arange(100) / 200.0

    records = drive_all(target, a_pool(target), OpenLoop(arrivals), processes=2)

    assert sorted(records.column("scheduled_s")) == pytest.approx(arrivals)
    assert records.cost.processes == 2


@pytest.mark.parametrize(
    ("model", "timeout_s", "outcome", "code"),
    [
        ("busy", 20.0, "rejected", "RESOURCE_EXHAUSTED"),
        ("slow", 0.2, "expired", "DEADLINE_EXCEEDED"),
    ],
)
def test_a_refused_or_overdue_request_is_its_own_outcome(
    url: str, model: str, timeout_s: float, outcome: str, code: str
):
    target = Target(url, model, timeout_s=timeout_s)

    records = drive(target, a_pool(target), OpenLoop(np.zeros(3)))

    summary = summarise(records, 0.1)
    assert summary["outcomes"][outcome] == 3
    assert summary["codes"][code]["count"] == 3
    assert summary["awg"] == 0.0


def test_an_answer_that_is_no_message_is_an_error(url: str):
    target = Target(url, "garbled")

    records = drive(target, a_pool(target), OpenLoop(np.zeros(2)))

    assert summarise(records, None)["outcomes"]["error"] == 2


def test_a_server_that_is_gone_ends_a_closed_loop_early():
    target = Target(f"127.0.0.1:{free_port()}", "echo")

    records = drive(target, [b""], ClosedLoop(concurrency=2, duration_s=60.0))

    assert summarise(records, None)["outcomes"]["error"] == len(records.rows)


def test_requests_carry_the_demand_and_pictures_of_the_models_size(url: str, tmp_path: Path):
    Image.fromarray(np.full((300, 400, 3), 77, np.uint8)).save(tmp_path / "grey.png")
    target = Target(url, "picture")
    demand = Demand(slo_s=0.05, min_accuracy=0.7, slo_class="gold", variant="big", rows=2)
    pool = build_pool("picture", discover(target), demand, from_folder(tmp_path), seed=1)

    request = pb.ModelInferRequest.FromString(pool[0])
    assert request.parameters["slo_ms"].double_param == 50.0
    assert request.parameters["min_accuracy"].double_param == 0.7
    assert request.parameters["slo_class"].string_param == "gold"
    assert request.parameters["variant"].string_param == "big"
    assert list(request.inputs[0].shape) == [2, 64, 48, 3]
    assert request.raw_input_contents[0] == bytes([77]) * (2 * 64 * 48 * 3)


def test_the_command_writes_a_report_in_three_forms(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options = f"--url {url} --model picture --schedule 1:50,1:100 --slo-ms 2000 --warmup-s 0.3"

    code = main([*options.split(), "--deadline", "--out", str(tmp_path), "--json"])

    summary = json.loads(capsys.readouterr().out)
    assert code == 0
    assert summary == json.loads((tmp_path / "report.json").read_text())
    assert summary["attainment"] == 1.0
    assert summary["effective_accuracy"] == pytest.approx(0.75)
    assert summary["variants"] == {"small": 1.0}
    assert [step["recovered_after_s"] for step in summary["recovery"]] == [0.0, 0.0]
    assert "attainment" in (tmp_path / "report.md").read_text()
    with Image.open(tmp_path / "report.png") as picture:
        assert picture.width > 500


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--model nobody", "has no model 'nobody'"),
        ("--model loading", "is not ready"),
        ("--model wrong", "INVALID_ARGUMENT: unexpected shape"),
        ("--model echo --rate-rps 0", "--rate-rps 0.0 must be above 0"),
        ("--model echo --mode open", "needs --rate-rps"),
        ("--model echo --schedule 5;3", "--schedule '5;3' is not of the form"),
        ("--model echo --arrivals /nowhere.txt", "cannot read the arrivals file /nowhere.txt"),
        ("--model echo --deadline", "give --slo-ms"),
        ("--model echo --images /nowhere", "no colour photograph"),
    ],
)
def test_what_cannot_run_exits_2_with_one_message(
    url: str, options: str, words: str, capsys: pytest.CaptureFixture[str]
):
    code = main(["--url", url, *options.split()])

    said = capsys.readouterr()
    assert code == 2
    assert said.out == ""
    assert words in said.err
    assert said.err.count("\n") == 1


def test_an_absent_server_is_named():
    port = free_port()

    with pytest.raises(BadTarget, match=rf"no server answers at 127\.0\.0\.1:{port} within 0\.2 s"):
        discover(Target(f"127.0.0.1:{port}", "echo"), wait_s=0.2)
