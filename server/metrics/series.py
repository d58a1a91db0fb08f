"""Every Prometheus series of one server, with its own registry."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_DECISION_EDGES_S = (0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.005)
_ROWS_EDGES = (1, 2, 4, 8, 16, 32, 64, 128)
_RATIO_EDGES = (0.5, 0.7, 0.8, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4, 2.0, 4.0)


class Series:
    """All series of one server. `slos_s`: every configured latency bound, which becomes an exact histogram edge."""

    def __init__(  # noqa: PLR0915 - one statement for each series
        self, registry: CollectorRegistry, slos_s: Sequence[float]
    ) -> None:
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
            "gearshift_speed_scale_ratio", "Latency now over the stored profile's",
            ["family", "variant", "backend"],
            registry=registry)  # fmt: skip
        self.difference = Gauge(
            "gearshift_reference_difference_ratio",
            "How far an arm's answers are from the reference's; beyond what is allowed, or +Inf, it does not serve",
            ["family", "variant", "backend", "device"], registry=registry)  # fmt: skip
        self.arms = Gauge(
            "gearshift_ready_arms",
            "Arms profiled, loaded and eligible",
            ["family"],
            registry=registry,
        )
        self.family_ready = Gauge(
            "gearshift_family_ready", "1: it serves; 0: it is loading, or cannot be served",
            ["family"], registry=registry)  # fmt: skip
        self.quarantines = Counter(
            "gearshift_quarantines_total", "Times an arm was taken out of use, by reason",
            ["family", "variant", "backend", "reason"], registry=registry)  # fmt: skip
        self.quarantined = Gauge(
            "gearshift_quarantined_arms", "Arms out of use until a probe is good", ["family"], registry=registry
        )  # fmt: skip
        self.retried = Counter(
            "gearshift_retried_requests_total", "Requests tried again elsewhere after an arm let them down", ["family"],
            registry=registry)  # fmt: skip
        self.shadows = Counter(
            "gearshift_shadow_runs_total", "Runs in idle moments that answered nobody", ["family"], registry=registry
        )  # fmt: skip
        self.candidates = Gauge(
            "gearshift_candidates", "Candidates by how far they have come", ["family", "state"], registry=registry
        )  # fmt: skip
        self.promotions = Counter(
            "gearshift_promotions_total", "Candidates promoted, rejected and rolled back", ["family", "verdict"],
            registry=registry)  # fmt: skip
        self.changes = Counter(
            "gearshift_hardware_changes_total", "Changes of the hardware that were noticed, by kind", ["kind"],
            registry=registry)  # fmt: skip
        self.hardware = Gauge(
            "gearshift_hardware_info", "1; the labels say what the profiles hold for",
            ["fingerprint", "cpu", "cores"], registry=registry)  # fmt: skip
        self.connections = Gauge(
            "gearshift_connections", "gRPC connections, silent ones included", registry=registry)  # fmt: skip
        self.connections_limit = Gauge(
            "gearshift_connections_limit", "gRPC connections that there may be", registry=registry)  # fmt: skip
        self.connections_ended = Counter(
            "gearshift_connections_ended_total", "Connections without calls ended because connections ran short",
            registry=registry)  # fmt: skip
