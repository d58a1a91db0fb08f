"""What operators read over HTTP: /metrics, /healthz, /readyz, and that the numbers add up."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import grpc
import pytest

from tests.support.serving.families import ECHO, publish_scripted, rows
from tests.support.serving.scraping import fetch, rises, scrape, total
from tests.support.serving.server import Server, a_request, eventually, serving
from wire import inference_pb2 as pb

OF = {"family": "echo"}


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of its own, so that its counters hold nothing but what these tests send; its SLO is 1234 ms."""
    root = tmp_path_factory.mktemp("counted")
    publish_scripted(
        root / "models", ECHO, {"quick": "", "sharp": ""}, {"quick": 0.5, "sharp": 0.75}
    )
    with serving(root / "models", root, "--slo-ms", "1234") as running:
        yield running


@pytest.mark.parametrize(("path", "said"), [("/healthz", "alive\n"), ("/readyz", "ready\n")])
def test_a_ready_server_is_alive_and_ready(counted: Server, path: str, said: str):
    status, _, body = fetch(counted, path)

    assert (status, body) == (200, said)


def test_another_path_is_not_here(counted: Server):
    status, _, body = fetch(counted, "/other")

    assert status == 404
    assert "/metrics" in body


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_other_methods_are_refused(counted: Server, method: str):
    request = urllib.request.Request(
        f"http://127.0.0.1:{counted.http_port}/metrics", data=b"", method=method
    )

    with pytest.raises(urllib.error.HTTPError) as refusal, urllib.request.urlopen(request):
        pass

    refusal.value.close()
    assert refusal.value.code == 501


def test_the_format_is_the_one_asked_for(counted: Server):
    _, plain, _ = fetch(counted, "/metrics")
    _, modern, body = fetch(counted, "/metrics", "application/openmetrics-text; version=1.0.0")

    assert plain.startswith("text/plain")
    assert modern.startswith("application/openmetrics-text")
    assert body.endswith("# EOF\n")


def test_outcomes_are_counted_by_class_and_add_up(counted: Server):
    before = scrape(counted)

    for _ in range(5):
        counted.infer(a_request("echo", rows(1.0, 2), slo_class="batch"))
    for _ in range(3):
        counted.infer(a_request("echo", rows(1.0)))
    for bad in (
        a_request("echo", rows(1.0)[:, :2]),
        a_request("echo", rows(1.0), slo_class="batch", slo_ms=0.0001),
    ):
        with pytest.raises(grpc.RpcError):
            counted.infer(bad)

    def added_up() -> None:
        after = scrape(counted)
        name = "gearshift_requests_total"
        assert rises(before, after, name, slo_class="batch", outcome="ok") == 5
        assert rises(before, after, name, slo_class="default", outcome="ok") == 3
        assert rises(before, after, name, slo_class="default", outcome="invalid") == 1
        assert rises(before, after, name, slo_class="batch", outcome="expired") == 1
        assert rises(before, after, name) == 10
        assert rises(before, after, "gearshift_rows_total") == 13

    eventually(added_up)


def test_switches_of_arms_are_counted_and_their_cost_is_told(counted: Server):
    before = scrape(counted)

    for variant in ["quick", "quick", "sharp", "sharp"] * 5:  # one worker or two in turn: many
        counted.infer(a_request("echo", rows(1.0), variant=variant))

    def counted_up() -> None:
        assert rises(before, scrape(counted), "gearshift_switches_total", **OF) >= 5

    eventually(counted_up)
    now = scrape(counted)
    assert total(now, "gearshift_switch_cost_seconds", **OF) < 0.1
    assert 0.0 <= total(now, "gearshift_stall_share_ratio", **OF) < 1.0
    assert total(now, "gearshift_stall_length_ratio", **OF) >= 1.0


def test_histograms_count_every_answer_and_have_the_slo_as_an_edge(counted: Server):
    before = scrape(counted)

    for _ in range(4):
        counted.infer(a_request("echo", rows(1.0)))

    def added_up() -> None:
        after = scrape(counted)
        for name in ("gearshift_request_seconds", "gearshift_queue_seconds"):
            assert rises(before, after, f"{name}_count", **OF) == 4
            assert rises(before, after, f"{name}_bucket", le="+Inf", **OF) == 4
            assert rises(before, after, f"{name}_bucket", le="1.234", **OF) == 4
        batches = rises(before, after, "gearshift_batch_rows_count", **OF)
        assert rises(before, after, "gearshift_batch_rows_sum", **OF) == 4
        assert rises(before, after, "gearshift_compute_seconds_count", **OF) == batches
        assert rises(before, after, "gearshift_latency_over_predicted_ratio_count", **OF) == batches
        assert rises(before, after, "gearshift_profiled_seconds_total", **OF) > 0.0
        assert rises(before, after, "gearshift_predicted_seconds_total", **OF) > 0.0
        assert rises(before, after, "gearshift_decision_seconds_count", **OF) >= batches
        assert rises(before, after, "gearshift_decisions_total", **OF) >= batches

    eventually(added_up)


def test_effective_accuracy_comes_as_a_sum_and_a_count(counted: Server):
    before = scrape(counted)

    for variant in ("quick", "sharp", "sharp"):
        counted.infer(a_request("echo", rows(1.0), variant=variant))

    def added_up() -> None:
        after = scrape(counted)
        assert rises(before, after, "gearshift_in_time_answers_total", **OF) == 3
        assert rises(before, after, "gearshift_in_time_accuracy_total", **OF) == pytest.approx(2.0)
        assert rises(before, after, "gearshift_rows_total", variant="sharp", precision="fp32") == 2

    eventually(added_up)


def test_gauges_tell_the_present_state(counted: Server):
    samples = scrape(counted)

    assert total(samples, "gearshift_queue_depth", **OF) == 0
    assert total(samples, "gearshift_ready_arms", **OF) == 2
    assert total(samples, "gearshift_hardware_info") == 1
    for variant in ("quick", "sharp"):
        assert total(samples, "gearshift_speed_scale_ratio", variant=variant, **OF) > 0


def test_statistics_over_grpc_agree_with_the_metrics(counted: Server):
    counted.infer(a_request("echo", rows(1.0)))

    def agree() -> None:
        samples, stats = scrape(counted), counted.statistics("echo")
        answered = total(samples, "gearshift_request_seconds_count")
        requests = total(samples, "gearshift_requests_total")
        assert stats.inference_count == total(samples, "gearshift_rows_total") > 0
        assert stats.execution_count == total(samples, "gearshift_batch_rows_count")
        assert stats.inference_stats.success.count == answered
        assert stats.inference_stats.fail.count == requests - answered
        assert sum(b.compute_infer.count for b in stats.batch_stats) == stats.execution_count

    eventually(agree)


def test_labels_never_hold_what_clients_make_up(counted: Server):
    odd = a_request("echo", rows(1.0), "an-odd-id", slo_class="odd")
    with pytest.raises(grpc.RpcError):
        counted.infer(odd)
    with pytest.raises(grpc.RpcError):
        counted.ask(
            "ModelInfer", pb.ModelInferRequest(model_name="odd-model"), pb.ModelInferResponse
        )

    _, _, body = fetch(counted, "/metrics")
    assert "odd" not in body
