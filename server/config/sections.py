"""What an operator may set, in sections. Each key states its default, what it does, and what it may be."""

from dataclasses import dataclass, field

from server.config.classes import class_weights
from server.config.keys import key, keys_of


@dataclass(frozen=True, slots=True)
class Server:
    """Where the server listens, what it logs, how it stops."""

    host: str = key("0.0.0.0", 'address to listen on; "::" is IPv6 and IPv4', flag=True)
    port: int = key(8001, "gRPC port; 0: any that is free", most=65535, flag=True)
    http_port: int = key(
        8002, "port of /metrics, /healthz and /readyz; 0: any that is free", most=65535, flag=True
    )
    drain_s: float = key(10.0, "how long a stopping server lets calls in flight finish")
    log_level: str = key(
        "INFO", "the least that is logged", one_of=("DEBUG", "INFO", "WARNING", "ERROR"), flag=True
    )


@dataclass(frozen=True, slots=True)
class Models:
    """What is served."""

    repository: str = key(
        "",
        'model repository; "": the user\'s cache, where `gearshift models build` puts its family',
        flag=True,
    )
    families: tuple[str, ...] = key(
        (), "families to serve; empty: all in the repository", flag=True
    )
    strict: bool = key(
        False,
        "exit with 2 where a family cannot be served, instead of serving the others",
        flag=True,
    )
    backends: tuple[str, ...] = key(
        (),
        "runtimes that may be used; empty: all that are installed (onnxruntime, openvino, ...)",
        flag=True,
    )
    reject_non_finite: bool = key(True, "NaN and infinities in float inputs are bad input")


@dataclass(frozen=True, slots=True)
class Slo:
    """What requests are held to that do not say themselves, and what their classes are worth."""

    latency_ms: float = key(
        0.0,
        "latency bound of requests that name none; 0: each family's own",
        flat="slo_ms",
        flag=True,
    )
    min_accuracy: float = key(
        0.0,
        "least accuracy of variants that answer requests that name none; 0: each family's own",
        most=1,
        flag=True,
    )
    classes: tuple[str, ...] = key(
        ("default", "interactive=4", "batch=0.25"),
        "what requests may name as slo_class, with weights that tell in overload; "
        "Triton's `priority` 1 is the heaviest, 2 the next, ...",
        flat="slo_classes",
        check=class_weights,
    )
    reply_margin_ms: float = key(
        2.0, "of every bound, kept back for the answer's way to the client"
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """Who decides what runs next, and what is kept of its decisions."""

    name: str = key(
        "adaptive",
        "who decides: a name of `gearshift simulate --policy list`, or MODULE:ATTRIBUTE of your own (docs/policy.md)",
        flat="policy",
        flag=True,
    )
    rehearse_every_s: float = key(
        0.0,
        "so often the last 20 s are replayed with the adaptive policy's other characters, and the best takes over; "
        "0: never. Costs at most 2 % of a core",
    )
    journal_every: int = key(
        100,
        "one decision in so many is kept for `gearshift status` to explain",
        unit="decisions",
        least=1,
    )
    log_decisions_every_s: float = key(
        0.0, "so often the latest decision is logged, in one line; 0: never"
    )


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine is used, for each family."""

    workers: int = key(
        0, "batches that run at a time per family; 0: one a usable core", most=64, flag=True
    )
    threads: int = key(
        0,
        "intra-op threads per worker; 0: the usable cores shared among workers",
        most=256,
        flag=True,
    )
    watch_every_s: float = key(
        0.25,
        "so often the hardware is looked at: cores, quota, clocks, neighbours, GPUs; 0: never",
    )


@dataclass(frozen=True, slots=True)
class Profiles:
    """How long each batch takes on this hardware: where that is kept, and what measuring it may cost."""

    folder: str = key(
        "",
        'where latency profiles are kept; "": the user\'s cache',
        flat="profiles",
        flag=True,
    )
    budget_s: float = key(
        20.0,
        "for measuring one family's arms when no stored profile covers them",
        least=0.01,
        flat="profile_budget_s",
    )


@dataclass(frozen=True, slots=True)
class Candidates:
    """Variants that are tried on live rows before they serve (docs/operating.md)."""

    shadow_share: float = key(
        0.05,
        "of the rows answered while a candidate is on trial, so many are run on it too; "
        "0: none, and candidates are promoted by hand only",
        most=1,
    )
    trial_rows: int = key(
        64,
        "live rows that a candidate must have run on before it may be promoted",
        unit="rows",
        least=1,
    )
    probation_s: float = key(
        600.0, "so long a promoted candidate is watched, and rolled back where it falls short"
    )


@dataclass(frozen=True, slots=True)
class Limits:
    """What clients may have, so that none of them can stop the rest."""

    queue_capacity: int = key(
        1024, "rows that may wait per family; more are refused at once", unit="rows", least=1
    )
    max_message_mib: int = key(
        64,
        "of one request or answer; what is foreseen to be answered by more is refused",
        least=1,
        most=2047,
    )
    max_unsent_mib: int = key(
        32,
        "of answers that clients have not taken; above it, who reads slowest loses some. "
        "Always room for four of the largest answers",
        least=1,
        most=65536,
    )
    max_connections: int = key(
        1024,
        "gRPC clients at a time; fewer where the limit of open files (raised at the start) is lower; "
        "where they run short, idle ones of whoever has most are ended",
        least=1,
        most=1_000_000,
    )
    max_streams: int = key(
        512,
        "calls at a time on one connection that are not answered yet; more are refused",
        least=1,
        most=1_000_000,
    )
    max_calls: int = key(
        2048,
        "calls at a time in all; above it each connection has a fair share, 8 at least",
        least=1,
    )
    stall_s: float = key(
        10.0, "a call of whose answers nothing is taken for so long is ended", least=0.1
    )
    max_idle_s: float = key(
        900.0,
        "a connection without calls is closed after so long (clients connect again); 0: never",
    )
    max_age_s: float = key(
        0.0,
        "a connection is closed in good order after so long, to spread clients anew; 0: never",
    )
    keepalive_s: float = key(
        60.0, "so often a silent client is pinged; one that does not answer has gone; 0: never"
    )


@dataclass(frozen=True, slots=True)
class Sharing:
    """Tasks that share a network's first layers, on streams of frames (docs/sharing.md)."""

    package: str = key(
        "",
        'task package of the repository to serve; "": none',
        flat="share_package",
        flag=True,
    )
    tasks: tuple[str, ...] = key(
        (),
        "its tasks that are in service from the start; empty: all",
        flat="share_tasks",
    )
    budget: float = key(
        0.5,
        "device seconds a second that its tasks may take, all streams together",
        least=1e-6,
        flat="share_budget",
        flag=True,
    )
    objective: str = key(
        "mean",
        "of the tasks' event F1: the mean, or maxmin (the smallest as large as possible)",
        one_of=("mean", "maxmin"),
        flat="share_objective",
    )
    x_vote: int = key(
        3,
        "a task reports an event after 1 to so many positive frames in a row, as the plan chooses",
        unit="frames",
        least=1,
        most=10,
        flat="share_x_vote",
    )
    late_ms: float = key(
        200.0,
        "a frame of a live stream that has waited longer is dropped",
        least=1,
        flat="share_late_ms",
    )
    queue: int = key(
        16,
        "frames of one stream that may wait",
        unit="frames",
        least=1,
        most=1024,
        flat="share_queue",
    )
    stall_s: float = key(
        10.0,
        "a client that takes none of its answers for so long, while they fill its queue, is cut off",
        least=0.01,
        flat="share_stall_s",
    )


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. Empty paths mean the user's cache; 0 often means `measure and choose`, or `never`."""

    server: Server = field(default_factory=Server)
    models: Models = field(default_factory=Models)
    slo: Slo = field(default_factory=Slo)
    policy: Policy = field(default_factory=Policy)
    machine: Machine = field(default_factory=Machine)
    profiles: Profiles = field(default_factory=Profiles)
    candidates: Candidates = field(default_factory=Candidates)
    limits: Limits = field(default_factory=Limits)
    sharing: Sharing = field(default_factory=Sharing)


KEYS = keys_of(Config)
"""Every key, section by section."""
