"""Candidates published beside a running server under traffic: tried, promoted, rejected, rolled back, remembered."""

import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from models.catalog import Family
from tests.support.serving.commands import gearshift
from tests.support.serving.families import (
    ECHO,
    WIDTH,
    expected_echo,
    publish_judges,
    publish_scripted,
    rows,
)
from tests.support.serving.scraping import scrape, total
from tests.support.serving.server import (
    PATIENCE_S,
    Server,
    a_request,
    eventually,
    output,
    serving,
)
from wire import control_pb2 as pb

KEEN = {"GEARSHIFT__CANDIDATES__SHADOW_SHARE": "1", "GEARSHIFT__CANDIDATES__TRIAL_ROWS": "24"}
"""Every answer is copied, and few are enough."""
QUICK, SHARP, POOR = "fixed_s = 0.001", "fixed_s = 0.003", "fixed_s = 0.009"
ACCURACIES = {"quick": 0.7, "sharp": 0.8, "poor": 0.6}


class Traffic:
    """One request after the other, each with a row of its own."""

    def __init__(self, server: Server, family: str) -> None:
        self.answers: list[tuple[Any, Any]] = []
        self.failures: list[str] = []
        self._server, self._family = server, family
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> "Traffic":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def variants(self) -> set[str]:
        """Those that have answered so far."""
        return {answer.parameters["variant"].string_param for _, answer in list(self.answers)}

    def await_answer_of(self, variant: str) -> None:
        """Return once it has answered a request that named no variant."""
        eventually(lambda: self._has(variant), PATIENCE_S)

    def _has(self, variant: str) -> None:
        assert variant in self.variants()

    def _send(self) -> None:
        rng = np.random.default_rng(3)
        while not self._stop.is_set():
            x = rng.standard_normal((1, WIDTH)).astype(np.float32)
            try:
                self.answers.append((x, self._server.infer(a_request(self._family, x))))
            except grpc.RpcError as error:
                self.failures.append(str(error))


def control(server: Server, request: Any, answer: Any) -> Any:
    """One question to gearshift.v1.Control. Raises grpc.RpcError."""
    method = type(request).__name__.removesuffix("Request")
    call = server.channel.unary_unary(f"/gearshift.v1.Control/{method}")
    return answer.FromString(call(request.SerializeToString(), timeout=PATIENCE_S))


def standing(server: Server, variant: str, family: str = "echo") -> Any:
    """What GetFrontier says of a variant."""
    found = control(server, pb.GetFrontierRequest(family=family), pb.GetFrontierResponse)
    return next(one for one in found.variants if one.name == variant)


def await_told(server: Server, variant: str, what: str, family: str = "echo") -> str:
    """The log's line that a candidate has come so far."""
    return server.await_line(re.compile(rf"{family}: candidate {variant}: {what}.*"))[0]


def is_refused(server: Server, variant: str, family: str = "echo") -> bool:
    """Whether no request can name the variant."""
    call = server.begin(a_request(family, rows(1.0), variant=variant))
    return call.code() is grpc.StatusCode.NOT_FOUND


def await_refused(server: Server, variant: str) -> None:
    """Return once no request can name the variant any more."""

    def check() -> None:
        assert is_refused(server, variant)

    eventually(check)


def publish(folder: Path, scripts: dict[str, str], *candidates: str) -> Family:
    """The family `echo` with these variants."""
    return publish_scripted(folder / "models", ECHO, scripts, ACCURACIES, candidates)


@contextmanager
def keen(folder: Path, scripts: dict[str, str] | None = None) -> Generator[Server]:
    """A server of `echo` that tries candidates quickly."""
    if scripts is not None:
        publish(folder, scripts)
    with serving(folder / "models", folder, "--workers", "1", **KEEN) as running:
        yield running


def test_a_candidate_published_under_traffic_is_promoted_and_answers(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server, Traffic(server, "echo") as traffic:
        assert is_refused(server, "sharp")
        publish(tmp_path, {"quick": QUICK, "sharp": SHARP}, "sharp")
        await_told(server, "sharp", "promoted: moves the frontier; ran on")
        traffic.await_answer_of("sharp")
        x = rows(2.0)
        pinned = server.infer(a_request("echo", x, variant="sharp"))
        told = standing(server, "sharp")
        counts = scrape(server)

    np.testing.assert_allclose(output(pinned), expected_echo(x), rtol=1e-6)
    assert traffic.failures == []
    assert (told.state, told.candidate, told.probation) == ("serving", True, True)
    assert told.compared >= 24
    assert told.agreed == told.compared
    assert told.least_agreement == pytest.approx(0.5)
    assert 3.0 < told.latency[0].mean_ms < 30.0
    assert total(counts, "gearshift_promotions_total", family="echo", verdict="promoted") == 1
    assert total(counts, "gearshift_promotions_total", family="echo", verdict="rejected") == 0
    assert total(counts, "gearshift_candidates", family="echo", state="promoted") == 1


def test_the_frontier_tells_of_recent_requests_and_the_status_of_candidates(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server, Traffic(server, "echo") as traffic:
        publish(tmp_path, {"quick": QUICK, "sharp": SHARP}, "sharp")
        await_told(server, "sharp", "promoted")
        traffic.await_answer_of("sharp")
        share = standing(server, "sharp").share
        region = control(
            server, pb.GetFrontierRequest(family="echo"), pb.GetFrontierResponse
        ).regions[0]
        status = gearshift("status", "--url", server.url)

    assert status.returncode == 0, status.stderr
    assert 0.0 < share < 1.0
    assert region.slo_ms == 2048.0
    assert region.in_time == region.offered > 0
    assert 0.7 <= region.effective_accuracy <= 0.8
    assert re.search(
        r"candidate sharp \(0.8000\): promoted, watched, agrees on \d+ of", status.stdout
    )


def test_a_dominated_candidate_is_rejected_and_never_answers(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server, Traffic(server, "echo") as traffic:
        publish(tmp_path, {"quick": QUICK, "poor": POOR}, "poor")
        line = await_told(server, "poor", "rejected: does not move the frontier")
        assert is_refused(server, "poor")
        told = standing(server, "poor")

    assert "neither clearly more accurate (0.6000 against 0.7000) nor clearly faster" in line
    assert told.state == "rejected"
    assert traffic.variants() == {"quick"}
    assert traffic.failures == []


def test_a_candidate_that_disagrees_too_often_for_its_accuracy_is_rejected(tmp_path: Path):
    accuracies = {"old": 0.9, "bold": 0.99, "alike": 0.95}
    root = tmp_path / "models"
    publish_judges(root, {"old": 7}, accuracies)
    with serving(root, tmp_path, "--workers", "1", **KEEN) as server:
        with Traffic(server, "judges") as traffic:
            seeds = {"old": 7, "bold": 8, "alike": 7}
            publish_judges(root, seeds, accuracies, ("bold", "alike"))
            line = await_told(server, "bold", "rejected", "judges")
            await_told(server, "alike", "promoted", "judges")
        told = standing(server, "bold", "judges")

    assert "its accuracy does not hold on live rows: it agrees on" in line
    assert "its accuracy says 89.0% at least" in line
    assert told.agreed < 0.89 * told.compared
    assert "bold" not in traffic.variants()
    assert traffic.failures == []


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [("fail_from_run = 1", "failed"), ("slow_from_run = 1\nslow_factor = 400", "(slow|overdue).*")],
)
def test_a_promoted_candidate_that_falls_short_is_rolled_back_and_costs_no_request(
    tmp_path: Path, trouble: str, reason: str
):
    ill = f'{SHARP}\n{trouble}\nonly_while = "{tmp_path / "ill"}"'
    with keen(tmp_path, {"quick": QUICK}) as server, Traffic(server, "echo") as traffic:
        publish(tmp_path, {"quick": QUICK, "sharp": ill}, "sharp")
        await_told(server, "sharp", "promoted")
        traffic.await_answer_of("sharp")
        (tmp_path / "ill").touch()
        line = await_told(server, "sharp", "rolled back")
        await_refused(server, "sharp")
        told = standing(server, "sharp")

    assert re.search(f"its arm was taken out of use: {reason}$", line)
    assert (told.state, len(told.latency)) == ("rolled_back", 0)
    assert traffic.failures == []


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("fail_from_run = 1", "failed on live rows that quick answered: .* as scripted"),
        ("hang_on_run = 1\nhang_s = 6.0", "a run of sharp did not come back within 2.0 s"),
    ],
)
def test_a_candidate_in_trouble_on_live_rows_is_rejected_and_holds_up_nobody(
    tmp_path: Path, trouble: str, reason: str
):
    ill = f'{SHARP}\n{trouble}\nonly_while = "{tmp_path / "ill"}"'
    publish(tmp_path, {"quick": QUICK})
    endless = {**KEEN, "GEARSHIFT__CANDIDATES__TRIAL_ROWS": "100000"}
    with (
        serving(tmp_path / "models", tmp_path, "--workers", "1", **endless) as server,
        Traffic(server, "echo") as traffic,
    ):
        publish(tmp_path, {"quick": QUICK, "sharp": ill}, "sharp")
        eventually(lambda: _is_compared(server, "sharp"), PATIENCE_S)
        (tmp_path / "ill").touch()
        line = await_told(server, "sharp", "rejected")

    assert re.search(reason, line)
    assert traffic.variants() == {"quick"}
    assert traffic.failures == []


def test_a_damaged_artefact_leaves_the_server_as_it_is(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server, Traffic(server, "echo") as traffic:
        before = tmp_path / "models" / "echo" / "family.toml"
        kept = before.read_text()
        published = publish(tmp_path, {"quick": QUICK, "sharp": SHARP}, "sharp")
        await_told(server, "sharp", "promoted")
        sharp = published.variants[1]
        whole = before.read_text()
        _replace(before, whole.replace(sharp.sha256, "0" * 64))
        line = server.await_line(re.compile(r"echo: what was published is not taken up.*"))[0]
        traffic.await_answer_of("sharp")
        _replace(before, kept)
        await_refused(server, "sharp")

    assert f"artefact of sharp) is damaged: its sha256 is {sharp.sha256}" in line
    assert server.log.count("is not taken up") == 1
    assert traffic.failures == []


def test_a_variant_that_is_no_candidate_serves_while_it_is_published(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server, Traffic(server, "echo") as traffic:
        publish(tmp_path, {"quick": QUICK, "sharp": SHARP})
        traffic.await_answer_of("sharp")
        serving_both = [standing(server, name).state for name in ("quick", "sharp")]
        publish(tmp_path, {"quick": QUICK})
        await_refused(server, "sharp")
        before = len(traffic.answers)
        eventually(lambda: _more(traffic, before))

    assert serving_both == ["serving", "serving"]
    assert traffic.failures == []


def test_a_candidate_that_is_withdrawn_is_forgotten_and_tried_again_when_it_comes_back(
    tmp_path: Path,
):
    endless = {**KEEN, "GEARSHIFT__CANDIDATES__TRIAL_ROWS": "100000"}
    publish(tmp_path, {"quick": QUICK})
    with (
        serving(tmp_path / "models", tmp_path, "--workers", "1", **endless) as server,
        Traffic(server, "echo") as traffic,
    ):
        for _ in range(2):
            publish(tmp_path, {"quick": QUICK, "sharp": SHARP}, "sharp")
            eventually(lambda: _is_compared(server, "sharp"), PATIENCE_S)
            publish(tmp_path, {"quick": QUICK})
            eventually(lambda: _are_known(server, ["quick"]))

    assert traffic.variants() == {"quick"}
    assert traffic.failures == []


def test_a_candidate_that_comes_with_another_limit_is_tried_under_that(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server:
        scripts = {"quick": QUICK, "sharp": SHARP}
        publish(tmp_path, scripts, "sharp")
        manifest = tmp_path / "models" / "echo" / "family.toml"
        _replace(manifest, manifest.read_text().replace("max_batch = 8", "max_batch = 4"))
        server.await_line(re.compile("echo: serves as it is published now"))
        with Traffic(server, "echo"):
            await_told(server, "sharp", "promoted")
        with pytest.raises(grpc.RpcError):
            server.infer(a_request("echo", rows(1.0, 8)))


def test_a_restart_remembers_whom_it_promoted_and_whom_it_rejected(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server, Traffic(server, "echo"):
        scripts = {"quick": QUICK, "poor": POOR, "sharp": SHARP}
        publish(tmp_path, scripts, "sharp", "poor")
        await_told(server, "sharp", "promoted")

    with keen(tmp_path) as again:
        assert is_refused(again, "poor")
        pinned = again.infer(a_request("echo", rows(1.0), variant="sharp"))
        states = [standing(again, name).state for name in ("quick", "sharp", "poor")]

    assert pinned.parameters["variant"].string_param == "sharp"
    assert states == ["serving", "serving", "rejected"]
    assert "measuring the candidate" not in again.log


def test_an_operator_promotes_and_rolls_back_by_hand(tmp_path: Path):
    with keen(tmp_path, {"quick": QUICK}) as server:
        publish(tmp_path, {"quick": QUICK, "poor": POOR}, "poor")
        await_told(server, "poor", "rejected")

        promoted = control(
            server, pb.PromoteRequest(family="echo", variant="poor"), pb.PromoteResponse
        ).variant
        pinned = server.infer(a_request("echo", rows(1.0), variant="poor"))
        back = control(
            server,
            pb.RollBackRequest(family="echo", variant="poor", reason="a whim"),
            pb.RollBackResponse,
        ).variant
        assert is_refused(server, "poor")

    assert (promoted.state, promoted.reason, promoted.probation) == (
        "serving",
        "promoted by hand",
        False,
    )
    assert pinned.parameters["variant"].string_param == "poor"
    assert (back.state, back.reason) == ("rolled_back", "a whim")


@pytest.mark.parametrize(
    ("family", "variant", "code", "said"),
    [
        ("ekko", "quick", "NOT_FOUND", "no family is called 'ekko'"),
        ("echo", "nobody", "NOT_FOUND", "has no candidate 'nobody'; its candidates: none"),
        ("echo", "only", "INVALID_ARGUMENT", "is no candidate: its publisher decides on it"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_in_words(
    server: Server, family: str, variant: str, code: str, said: str
):
    variant = "quick" if variant == "only" else variant
    for request, answer in (
        (pb.PromoteRequest(family=family, variant=variant), pb.PromoteResponse),
        (pb.RollBackRequest(family=family, variant=variant), pb.RollBackResponse),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            control(server, request, answer)

        assert refused.value.code().name == code
        assert said in refused.value.details()


def _more(traffic: Traffic, than: int) -> None:
    assert len(traffic.answers) > than


def _are_known(server: Server, names: list[str]) -> None:
    found = control(server, pb.GetFrontierRequest(family="echo"), pb.GetFrontierResponse)
    assert [one.name for one in found.variants] == names


def _is_compared(server: Server, variant: str) -> None:
    found = control(server, pb.GetFrontierRequest(family="echo"), pb.GetFrontierResponse)
    compared = {one.name: one.compared for one in found.variants if one.state == "trial"}
    assert compared.get(variant, 0) > 0


def _replace(path: Path, text: str) -> None:
    """As publishers do: whole, in one step."""
    beside = path.with_name(".beside")
    beside.write_text(text)
    beside.replace(path)
