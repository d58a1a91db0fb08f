"""Every Prometheus series and the protocol's own statistics, built per server with its own registry."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_DECISION_EDGES_S = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005)
_ROWS_EDGES = (1, 2, 4, 8, 16, 32, 64, 128)
_RATIO_EDGES = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0, 4.0)


@dataclass(slots=True)
class Served:
    """One answered request, as the runtime saw it. `compute_s` is its batch's."""

    slo_class: str
    variant: str
    rows: int
    accuracy: float
    queue_s: float
    compute_s: float
    total_s: float
    in_time: bool


@dataclass(slots=True)
class RanBatch:
    """One finished batch: what it was, how long each stage took (s), what the profile had said."""

    variant: str
    precision: str
    rows: int
    gather_s: float
    compute_s: float
    predicted_s: float


@dataclass(slots=True)
class Tally:
    """Counts and nanoseconds for ModelStatistics; `by_batch` maps rows -> [count, gather ns, compute ns]."""

    success: int = 0
    success_ns: int = 0
    fail: int = 0
    queue_ns: int = 0
    compute_ns: int = 0
    gather_ns: int = 0
    rows: int = 0
    batches: int = 0
    last_ms: int = 0
    by_batch: dict[int, list[int]] = field(default_factory=dict[int, list[int]])


class Metrics:
    """All series of one server. `slos_s`: every configured latency bound, which becomes an exact histogram edge."""

    def __init__(self, registry: CollectorRegistry, slos_s: Sequence[float]) -> None:
        self.registry = registry
        edges = sorted({*_EDGES_S, *slos_s})
        self.requests = Counter(
            "gearshift_requests_total", "Requests by SLO class and outcome", ["family", "slo_class", "outcome"],
            registry=registry)  # fmt: skip
        self.request_s = Histogram(
            "gearshift_request_seconds",
            "Arrival to answer",
            ["family", "slo_class"],
            buckets=edges,
            registry=registry,
        )
        self.queue_s = Histogram(
            "gearshift_queue_seconds",
            "Arrival to start of the batch",
            ["family"],
            buckets=edges,
            registry=registry,
        )
        self.compute_s = Histogram(
            "gearshift_compute_seconds", "Inside the backend, per batch", ["family", "variant"], buckets=edges,
            registry=registry)  # fmt: skip
        self.batch_rows = Histogram(
            "gearshift_batch_rows",
            "Rows per batch",
            ["family", "variant"],
            buckets=_ROWS_EDGES,
            registry=registry,
        )
        self.decisions = Counter(
            "gearshift_decisions_total", "Decisions, and so batch releases, by reason", ["family", "reason"],
            registry=registry)  # fmt: skip
        self.decision_s = Histogram(
            "gearshift_decision_seconds", "Time the policy took", ["family"], buckets=_DECISION_EDGES_S,
            registry=registry)  # fmt: skip
        self.rows = Counter(
            "gearshift_rows_total",
            "Rows answered",
            ["family", "variant", "precision"],
            registry=registry,
        )
        self.accuracy = Counter(
            "gearshift_in_time_accuracy_total",
            "Sum of the serving variant's accuracy over answers in time; divide by _answers for effective accuracy",
            ["family"], registry=registry)  # fmt: skip
        self.in_time = Counter(
            "gearshift_in_time_answers_total", "Answers in time", ["family"], registry=registry
        )
        self.error_ratio = Histogram(
            "gearshift_latency_over_predicted_ratio", "Measured batch latency over the prediction at the present speed",
            ["family"], buckets=_RATIO_EDGES, registry=registry)  # fmt: skip
        self.depth = Gauge(
            "gearshift_queue_depth", "Requests waiting", ["family"], registry=registry
        )
        self.speed = Gauge(
            "gearshift_speed_scale_ratio", "Latency now over the stored profile's", ["family", "variant"],
            registry=registry)  # fmt: skip
        self.arms = Gauge(
            "gearshift_ready_arms",
            "Arms profiled, loaded and eligible",
            ["family"],
            registry=registry,
        )
        self.hardware = Gauge(
            "gearshift_hardware_info", "1; the labels say what the profiles hold for",
            ["fingerprint", "cpu", "cores"], registry=registry)  # fmt: skip

    def family(self, name: str) -> "FamilyMetrics":
        """The series of one family, its labels bound."""
        return FamilyMetrics(self, name)


class FamilyMetrics:
    """One family's view: the runtime reports events, this turns them into series and statistics."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self._all = metrics
        self._name = name
        self._lock = threading.Lock()
        self.tally = Tally()
        self._queue = metrics.queue_s.labels(name)
        self._accuracy = metrics.accuracy.labels(name)
        self._in_time = metrics.in_time.labels(name)
        self._decision = metrics.decision_s.labels(name)
        self._error = metrics.error_ratio.labels(name)
        self._request: dict[str, Histogram] = {}
        self._outcomes: dict[tuple[str, str], Counter] = {}
        self._reasons: dict[str, Counter] = {}

    def watch_depth(self, depth: Callable[[], float]) -> None:
        """Read the queue's depth from this callable at every scrape."""
        self._all.depth.labels(self._name).set_function(depth)

    def decided(self, reason: str, took_s: float) -> None:
        """The policy ran a batch, or chose to wait, for `reason`."""
        counter = self._reasons.get(reason)
        if counter is None:
            counter = self._reasons[reason] = self._all.decisions.labels(self._name, reason)
        counter.inc()
        self._decision.observe(took_s)

    def unrun(self, slo_class: str, outcome: str) -> None:
        """A request ended without running: `shed`, `expired`, `cancelled`, `not_ready`, or `failed` in its batch."""
        self._outcome(slo_class, outcome)
        with self._lock:
            self.tally.fail += 1

    def ran(self, batch: RanBatch) -> None:
        """A batch finished in its backend."""
        self._all.compute_s.labels(self._name, batch.variant).observe(batch.compute_s)
        self._all.batch_rows.labels(self._name, batch.variant).observe(batch.rows)
        self._all.rows.labels(self._name, batch.variant, batch.precision).inc(batch.rows)
        self._error.observe(batch.compute_s / batch.predicted_s)
        gather_ns, compute_ns = int(batch.gather_s * 1e9), int(batch.compute_s * 1e9)
        with self._lock:
            tally = self.tally
            tally.batches += 1
            tally.rows += batch.rows
            counts = tally.by_batch.setdefault(batch.rows, [0, 0, 0])
            counts[0] += 1
            counts[1] += gather_ns
            counts[2] += compute_ns

    def answered(self, served: Sequence[Served]) -> None:
        """Answers of one batch went out."""
        in_time = 0
        accuracy = 0.0
        tally = self.tally
        with self._lock:
            for one in served:
                self._outcome(one.slo_class, "ok" if one.in_time else "late")
                self._queue.observe(one.queue_s)
                self._seconds(one.slo_class).observe(one.total_s)
                in_time += one.in_time
                accuracy += one.accuracy * one.in_time
                tally.success += 1
                tally.success_ns += int(one.total_s * 1e9)
                tally.queue_ns += int(one.queue_s * 1e9)
                tally.compute_ns += int(one.compute_s * 1e9)
            tally.last_ms = int(time.time() * 1e3)
        self._in_time.inc(in_time)
        self._accuracy.inc(accuracy)

    def arms_ready(self, count: int) -> None:
        """So many arms may be chosen now."""
        self._all.arms.labels(self._name).set(count)

    def speed(self, variant: str, scale: float) -> None:
        """Latency of `variant` now over its stored profile."""
        self._all.speed.labels(self._name, variant).set(scale)

    def _outcome(self, slo_class: str, outcome: str) -> None:
        key = (slo_class, outcome)
        counter = self._outcomes.get(key)
        if counter is None:
            counter = self._outcomes[key] = self._all.requests.labels(self._name, *key)
        counter.inc()

    def _seconds(self, slo_class: str) -> Histogram:
        histogram = self._request.get(slo_class)
        if histogram is None:
            histogram = self._request[slo_class] = self._all.request_s.labels(self._name, slo_class)
        return histogram
