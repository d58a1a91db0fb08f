"""What clients get: the SLO and its burn, decisions, latency, the queue."""

from scripts.dashboards.parts import Board, Panel, Query, of, rate, total

ASKED = 'outcome!~"invalid|cancelled"'
REQUESTS = total(rate("gearshift_requests_total", ASKED), "instance", "family")
IN_TIME = total(rate("gearshift_in_time_answers_total"), "instance", "family")
PROMISED = f"max by (instance, family) ({of('gearshift_slo_percentile_ratio')})"
BY_FAMILY = "{{family}} {{instance}}"


def burn(window: str) -> Query:
    """How many times too fast the SLO's budget is spent, over a window that the recording rules have."""
    return Query(of(f"instance_family:gearshift_burn:ratio_rate{window}"), f"{BY_FAMILY} {window}")


def half_and_most(name: str) -> tuple[Query, ...]:
    """What half and what 99 % of a histogram's values are at most."""
    buckets = total(rate(f"{name}_bucket"), "family", "le")
    return tuple(
        Query(f"histogram_quantile({share}, {buckets})", f"{{{{family}}}} {share:.0%}")
        for share in (0.5, 0.99)
    )


SLO = (
    Panel(
        "Attainment and what is promised",
        "Share of requests answered in time, beside the share that the SLO promises.",
        "percentunit",
        (Query(f"{IN_TIME} / {REQUESTS}", BY_FAMILY), Query(PROMISED, f"{BY_FAMILY} promised")),
    ),
    Panel(
        "Burn rate",
        "How many times faster than the SLO allows requests miss it; at 1 the budget is just used up.",
        "none",
        (burn("5m"), burn("1h")),
        needs="the recording rules of deploy/recording.yml",
    ),
    Panel(
        "Effective accuracy",
        "Mean accuracy of the variants that answered in time, beside the least that the SLO allows.",
        "percentunit",
        (
            Query(
                f"{total(rate('gearshift_in_time_accuracy_total'), 'instance', 'family')} / {IN_TIME}",
                BY_FAMILY,
            ),
            Query(of("gearshift_slo_min_accuracy_ratio"), f"{BY_FAMILY} least"),
        ),
    ),
    Panel(
        "Requests by outcome",
        "How requests ended.",
        "reqps",
        (
            Query(
                total(rate("gearshift_requests_total"), "family", "outcome"),
                "{{family}} {{outcome}}",
            ),
        ),
    ),
    Panel(
        "Caution",
        "How careful the policy is for the SLO's percentile to be kept, 0 to 1.",
        "percentunit",
        (Query(of("gearshift_slo_caution_ratio"), BY_FAMILY),),
    ),
    Panel(
        "Latency bound",
        "What the SLO promises, as configured.",
        "s",
        (Query(of("gearshift_slo_seconds"), BY_FAMILY),),
    ),
)
DECISIONS = (
    Panel(
        "Share of rows by variant",
        "Who answers: it moves to quicker variants as the load grows.",
        "percentunit",
        (
            Query(
                f"{total(rate('gearshift_rows_total'), 'family', 'variant')} / on (family) group_left () "
                f"{total(rate('gearshift_rows_total'), 'family')}",
                "{{family}} {{variant}}",
            ),
        ),
    ),
    Panel(
        "Decisions by reason",
        "Why batches were let go, or the policy chose to wait.",
        "ops",
        (
            Query(
                total(rate("gearshift_decisions_total"), "family", "reason"),
                "{{family}} {{reason}}",
            ),
        ),
    ),
    Panel(
        "Time of a decision",
        "What the policy takes, half and 99 % of the times.",
        "s",
        half_and_most("gearshift_decision_seconds"),
    ),
)
LATENCY = (
    Panel(
        "Latency",
        "Arrival to answer, as a heat map; the SLO is an edge of the buckets.",
        "s",
        (Query(total(rate("gearshift_request_seconds_bucket"), "le"), "{{le}}"),),
        heat=True,
    ),
    Panel(
        "Latency, half and 99 %",
        "Arrival to answer.",
        "s",
        half_and_most("gearshift_request_seconds"),
    ),
)
QUEUE = (
    Panel(
        "Requests waiting",
        "The queue's depth.",
        "short",
        (Query(of("gearshift_queue_depth"), BY_FAMILY),),
    ),
    Panel(
        "Time in the queue",
        "Arrival to start of the batch, half and 99 %.",
        "s",
        half_and_most("gearshift_queue_seconds"),
    ),
    Panel(
        "Rows a batch",
        "Mean rows of the batches that ran.",
        "short",
        (
            Query(
                f"{total(rate('gearshift_batch_rows_sum'), 'family', 'variant')} / "
                f"{total(rate('gearshift_batch_rows_count'), 'family', 'variant')}",
                "{{family}} {{variant}}",
            ),
        ),
    ),
)
BOARD = Board(
    "gearshift-serving",
    "Gearshift: serving",
    "What clients get: the SLO and how fast its budget burns, decisions, latency, the queue.",
    (
        ("SLO and burn rate", SLO),
        ("Decisions and variant share", DECISIONS),
        ("Latency", LATENCY),
        ("Queue", QUEUE),
    ),
)
