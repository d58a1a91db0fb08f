"""What serving takes: whether profiles tell the truth, the hardware, and what answers cost."""

from scripts.dashboards.parts import Board, Panel, Query, of, rate, total

ARM = ("family", "variant", "backend")
BY_ARM = "{{family}} {{variant}} {{backend}}"
BY_FAMILY = "{{family}} {{instance}}"
RUNS = total(rate("gearshift_measured_seconds_total"), *ARM)
CPU = total(rate("process_cpu_seconds_total", family=False), "instance")
ANSWERS = total(rate("gearshift_requests_total", 'outcome="ok"'), "instance")
RIGHT = total(rate("gearshift_in_time_accuracy_total"), "instance")
MONEY_S = (
    f"max by (instance) ({of('gearshift_price_per_core_hour', family=False)}) "
    f"* on (instance) max by (instance) ({of('gearshift_cores', family=False)}) / 3600"
)
PRICED = "the key price_per_core_hour"


def over(name: str) -> str:
    """Measured seconds over these, by arm; only of arms that run."""
    return f"{RUNS} / ({total(rate(name), *ARM)} > 0)"


TRUTH = (
    Panel(
        "Measured over predicted, by arm",
        "Batches' time over what was foretold at the speed of the moment: 1 is the truth.",
        "none",
        (Query(over("gearshift_predicted_seconds_total"), BY_ARM),),
    ),
    Panel(
        "Measured over profile, by arm",
        "Batches' time over the stored profile's: above 1 the machine is slower than when it was measured.",
        "none",
        (Query(over("gearshift_profiled_seconds_total"), BY_ARM),),
    ),
    Panel(
        "Predicted and measured, by arm",
        "Seconds of batches a second.",
        "percentunit",
        (
            Query(total(rate("gearshift_predicted_seconds_total"), *ARM), f"{BY_ARM} predicted"),
            Query(RUNS, f"{BY_ARM} measured"),
        ),
    ),
    Panel(
        "Speed, by arm",
        "Latency now over the stored profile's, as the policy believes it; idle arms too.",
        "none",
        (Query(of("gearshift_speed_scale_ratio"), BY_ARM),),
    ),
    Panel(
        "Arms in use and out of it",
        "Arms that may be chosen, and those in quarantine.",
        "short",
        (
            Query(of("gearshift_ready_arms"), f"{BY_FAMILY} ready"),
            Query(of("gearshift_quarantined_arms"), f"{BY_FAMILY} quarantined"),
        ),
    ),
    Panel(
        "Difference from the reference",
        "How far an arm's answers are from the reference's.",
        "none",
        (Query(of("gearshift_reference_difference_ratio"), BY_ARM),),
    ),
)
HARDWARE = (
    Panel(
        "Busy workers",
        "Batches that run, and how many may at a time.",
        "short",
        (
            Query(of("gearshift_busy_workers"), BY_FAMILY),
            Query(of("gearshift_workers"), f"{BY_FAMILY} most"),
        ),
    ),
    Panel(
        "Cores in use",
        "CPU time of the process a second, and the cores that it may use.",
        "none",
        (
            Query(CPU, "{{instance}}"),
            Query(of("gearshift_cores", family=False), "{{instance}} may use"),
        ),
    ),
    Panel(
        "Memory",
        "What the process holds, and what its arms took as they were opened.",
        "bytes",
        (
            Query(of("process_resident_memory_bytes", family=False), "{{instance}}"),
            Query(of("gearshift_arms_memory_bytes"), f"{BY_FAMILY} arms"),
        ),
    ),
    Panel(
        "Files and threads",
        "Open files and threads of the process.",
        "short",
        (
            Query(of("process_open_fds", family=False), "{{instance}} files"),
            Query(of("process_threads", family=False), "{{instance}} threads"),
        ),
    ),
    Panel(
        "Connections",
        "gRPC connections, and how many there may be.",
        "short",
        (
            Query(of("gearshift_connections", family=False), "{{instance}}"),
            Query(of("gearshift_connections_limit", family=False), "{{instance}} most"),
        ),
    ),
    Panel(
        "Changes of the hardware",
        "What was noticed, by kind.",
        "short",
        (
            Query(
                total(
                    f"increase({of('gearshift_hardware_changes_total', family=False)}[$__rate_interval])",
                    "kind",
                ),
                "{{kind}}",
            ),
        ),
    ),
)
COST = (
    Panel(
        "Requests a core-second",
        "Requests answered in time for each second of CPU time.",
        "none",
        (Query(f"{ANSWERS} / {CPU}", "{{instance}}"),),
    ),
    Panel(
        "Right answers a core-second",
        "Answers in time, each counted by its variant's accuracy, for each second of CPU time.",
        "none",
        (Query(f"{RIGHT} / {CPU}", "{{instance}}"),),
    ),
    Panel(
        "Requests for money",
        "Requests answered in time for each unit of money, at the price of all cores that may be used.",
        "none",
        (Query(f"{ANSWERS} / on (instance) ({MONEY_S})", "{{instance}}"),),
        needs=PRICED,
    ),
    Panel(
        "Right answers for money",
        "Answers in time, each counted by its variant's accuracy, for each unit of money.",
        "none",
        (Query(f"{RIGHT} / on (instance) ({MONEY_S})", "{{instance}}"),),
        needs=PRICED,
    ),
)
BOARD = Board(
    "gearshift-machine",
    "Gearshift: machine",
    "What serving takes: whether profiles tell the truth, the hardware, what answers cost.",
    (("Profile truth", TRUTH), ("Hardware", HARDWARE), ("Cost", COST)),
)
