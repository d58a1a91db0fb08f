"""What a trainer brings, and how its candidates fare."""

from scripts.dashboards.parts import Board, Panel, Query, of, rate, total

TRAINER = "a family with candidates, as a trainer publishes them"
BOARD = Board(
    "gearshift-candidates",
    "Gearshift: trainer and candidates",
    "What a trainer brings, how its candidates fare, and what trying them takes.",
    (
        (
            "Trainer and candidates",
            (
                Panel(
                    "Candidates by state",
                    "How far those have come that a trainer published.",
                    "short",
                    (
                        Query(
                            total(of("gearshift_candidates"), "family", "state"),
                            "{{family}} {{state}}",
                        ),
                    ),
                    needs=TRAINER,
                ),
                Panel(
                    "Verdicts",
                    "Candidates promoted, postponed, rejected and rolled back.",
                    "short",
                    (
                        Query(
                            total(
                                f"increase({of('gearshift_promotions_total')}[$__rate_interval])",
                                "family",
                                "verdict",
                            ),
                            "{{family}} {{verdict}}",
                        ),
                    ),
                    needs=TRAINER,
                ),
                Panel(
                    "Runs that answered nobody",
                    "Runs in idle moments, of arms whose speed is not known well; trials of candidates do not count.",
                    "ops",
                    (Query(total(rate("gearshift_shadow_runs_total"), "family"), "{{family}}"),),
                ),
                Panel(
                    "Arms taken out of use",
                    "Quarantines by reason.",
                    "short",
                    (
                        Query(
                            total(
                                f"increase({of('gearshift_quarantines_total')}[$__rate_interval])",
                                "family",
                                "reason",
                            ),
                            "{{family}} {{reason}}",
                        ),
                    ),
                ),
            ),
        ),
    ),
)
