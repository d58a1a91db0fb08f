"""Every Prometheus series of one server, with its own registry."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from server.metrics.quick import QuickCounter, QuickHistogram

if TYPE_CHECKING:  # they need each other
    from server.metrics.family import FamilyMetrics

_EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_DECISION_EDGES_S = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005)
_ROWS_EDGES = (1, 2, 4, 8, 16, 32, 64, 128)
_RATIO_EDGES = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0, 4.0)
_FAMILY = ["family"]
_ARM = ["family", "variant", "backend"]


class Series:
    """All series of one server. `slos_s`: every configured latency bound, which becomes an exact histogram edge."""

    def __init__(  # noqa: PLR0915 - one statement for each series
        self, registry: CollectorRegistry, slos_s: Sequence[float]
    ) -> None:
        disable_created_metrics()  # as many series again, which nobody reads
        self.registry = registry
        self.views: dict[str, FamilyMetrics] = {}
        """Who has answers that are not counted yet, by family."""
        edges = sorted({*_EDGES_S, *slos_s})
        counter = partial(Counter, registry=registry)
        gauge = partial(Gauge, registry=registry)
        quick = partial(QuickCounter, registry=registry, before=self.count)
        histogram = partial(QuickHistogram, registry=registry, before=self.count)
        self.requests = quick(
            "gearshift_requests_total",
            "Requests by SLO class and outcome",
            ["family", "slo_class", "outcome"],
        )
        self.request_s = histogram(
            "gearshift_request_seconds", "Arrival to answer", ["family", "slo_class"], buckets=edges
        )
        self.queue_s = histogram(
            "gearshift_queue_seconds", "Arrival to start of the batch", _FAMILY, buckets=edges
        )
        self.compute_s = histogram(
            "gearshift_compute_seconds",
            "Inside the backend, per batch",
            ["family", "variant"],
            buckets=edges,
        )
        self.batch_rows = histogram(
            "gearshift_batch_rows", "Rows per batch", ["family", "variant"], buckets=_ROWS_EDGES
        )
        self.decisions = quick(
            "gearshift_decisions_total",
            "Decisions, and so batch releases, by reason",
            ["family", "reason"],
        )
        self.policy_failures = counter(
            "gearshift_policy_failures_total",
            "Decisions that a policy of one's own failed to make, and the adaptive one made",
            _FAMILY,
        )
        self.decision_s = histogram(
            "gearshift_decision_seconds", "Time the policy took", _FAMILY, buckets=_DECISION_EDGES_S
        )
        self.rows = quick(
            "gearshift_rows_total", "Rows answered", ["family", "variant", "precision"]
        )
        self.accuracy = quick(
            "gearshift_in_time_accuracy_total",
            "Sum of the serving variant's accuracy over answers in time; divide by _answers for effective accuracy",
            _FAMILY,
        )
        self.in_time = quick("gearshift_in_time_answers_total", "Answers in time", _FAMILY)
        self.error_ratio = histogram(
            "gearshift_latency_over_predicted_ratio",
            "Measured batch latency over the prediction at the present speed",
            _FAMILY,
            buckets=_RATIO_EDGES,
        )
        self.predicted_s = quick(
            "gearshift_predicted_seconds_total",
            "What the batches that ran were predicted to take at the speed of the moment",
            _ARM,
        )
        self.profiled_s = quick(
            "gearshift_profiled_seconds_total",
            "What the same batches take by the stored profiles: the ratio is the speed, over arms that ran",
            _ARM,
        )
        self.measured_s = quick(
            "gearshift_measured_seconds_total",
            "What the same batches took inside the backend",
            _ARM,
        )
        self.depth = gauge("gearshift_queue_depth", "Requests waiting", _FAMILY)
        self.speed = gauge(
            "gearshift_speed_scale_ratio", "Latency now over the stored profile's", _ARM
        )
        self.difference = gauge(
            "gearshift_reference_difference_ratio",
            "How far an arm's answers are from the reference's; beyond what is allowed, or +Inf, it does not serve",
            ["family", "variant", "backend", "device"],
        )
        self.arms = gauge("gearshift_ready_arms", "Arms profiled, loaded and eligible", _FAMILY)
        self.slo_attainment = gauge(
            "gearshift_slo_attainment_ratio",
            "Share answered in time of the last 1,000 requests or so that ask for no more than the SLO says",
            [*_FAMILY, "slo_class"],
        )
        self.slo_percentile = gauge(
            "gearshift_slo_percentile_ratio", "Share that the SLO promises", _FAMILY
        )
        self.slo_s = gauge("gearshift_slo_seconds", "Latency bound that the SLO promises", _FAMILY)
        self.slo_min_accuracy = gauge(
            "gearshift_slo_min_accuracy_ratio", "Least accuracy that the SLO allows", _FAMILY
        )
        self.workers = gauge(
            "gearshift_workers", "Batches that may run at a time, by family", _FAMILY
        )
        self.busy_workers = gauge("gearshift_busy_workers", "Batches that run now", _FAMILY)
        self.slo_caution = gauge(
            "gearshift_slo_caution_ratio",
            "How careful the policy is, 0 to 1, for the SLO's percentile to be kept",
            _FAMILY,
        )
        self.family_ready = gauge(
            "gearshift_family_ready", "1: it serves; 0: it is loading, or cannot be served", _FAMILY
        )
        self.quarantines = counter(
            "gearshift_quarantines_total",
            "Times an arm was taken out of use, by reason",
            ["family", "variant", "backend", "reason"],
        )
        self.quarantined = gauge(
            "gearshift_quarantined_arms", "Arms out of use until a probe is good", _FAMILY
        )
        self.retried = counter(
            "gearshift_retried_requests_total",
            "Requests tried again elsewhere after an arm let them down",
            _FAMILY,
        )
        self.switches = counter(
            "gearshift_switches_total", "Batches on another arm than their worker's last", _FAMILY
        )
        self.switch_cost_s = gauge(
            "gearshift_switch_cost_seconds",
            "What such a batch is believed to take longer for that; 0 while nothing stands out of the noise",
            _FAMILY,
        )
        self.stall_share = gauge(
            "gearshift_stall_share_ratio",
            "Share of the batches that take at least twice as long as foreseen, for once; 0 while that is rare",
            _FAMILY,
        )
        self.stall_factor = gauge(
            "gearshift_stall_length_ratio",
            "How many times as long as foreseen those batches take; 1 while they are rare",
            _FAMILY,
        )
        self.shadows = counter(
            "gearshift_shadow_runs_total", "Runs in idle moments that answered nobody", _FAMILY
        )
        self.candidates = gauge(
            "gearshift_candidates", "Candidates by how far they have come", ["family", "state"]
        )
        self.promotions = counter(
            "gearshift_promotions_total",
            "Candidates promoted, rejected and rolled back",
            ["family", "verdict"],
        )
        self.changes = counter(
            "gearshift_hardware_changes_total",
            "Changes of the hardware that were noticed, by kind",
            ["kind"],
        )
        self.hardware = gauge(
            "gearshift_hardware_info",
            "1; the labels say what the profiles hold for",
            ["fingerprint", "cpu", "cores"],
        )
        self.cores = gauge("gearshift_cores", "Cores that this server may use")
        self.connections = gauge("gearshift_connections", "gRPC connections, silent ones included")
        self.connections_limit = gauge(
            "gearshift_connections_limit", "gRPC connections that there may be"
        )
        self.connections_ended = counter(
            "gearshift_connections_ended_total",
            "Connections without calls ended because connections ran short",
        )

    def count(self) -> None:
        """Count all that was answered: before anybody reads. Any thread."""
        for view in tuple(self.views.values()):
            view.count()
