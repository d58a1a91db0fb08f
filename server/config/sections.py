"""What an operator may set, in sections. Each key states its default, what it does, and what it may be."""

from dataclasses import dataclass, field

from server.config.bounding import LimitsSection, SharingSection
from server.config.classes import class_weights
from server.config.keys import key, keys_of


@dataclass(frozen=True, slots=True)
class ServerSection:
    """Where the server listens, what it logs, how it stops."""

    host: str = key("0.0.0.0", 'address to listen on; "::" is IPv6 and IPv4', flag=True)
    port: int = key(8001, "gRPC port; 0: any that is free", most=65535, flag=True)
    unix_socket: str = key(
        "",
        'path of a Unix socket that speaks gRPC as well, for clients on this machine; "": none',
        flag=True,
    )
    rest_port: int = key(
        8000,
        "port of the same protocol over HTTP and JSON (docs/rest.md); 0: any that is free, -1: none",
        least=-1,
        most=65535,
        flag=True,
    )
    http_port: int = key(
        8002, "port of /metrics, /healthz and /readyz; 0: any that is free", most=65535, flag=True
    )
    front: str = key(
        "auto",
        "what speaks gRPC: the native front where it is built (make native), or gRPC's own core; auto: the native one "
        "where it is there",
        one_of=("auto", "native", "grpcio"),
        flag=True,
    )
    triton_metrics: bool = key(
        False, "/metrics has Triton's series too (nv_inference_...), for dashboards made for it"
    )
    shared_memory: bool = key(
        True,
        "clients on this machine (loopback, Unix sockets) may give inputs and take outputs in system shared memory; "
        "false where a proxy on this machine lets others in",
    )
    shutdown_delay_s: float = key(
        0.0,
        "how long a server that is to stop, not ready any more, still takes requests: those who spread clients over "
        "servers need a moment to see it (5 on Kubernetes); 0: it refuses at once, and so does a second signal",
    )
    drain_s: float = key(10.0, "how long a stopping server lets calls in flight finish")
    log_level: str = key(
        "INFO", "the least that is logged", one_of=("DEBUG", "INFO", "WARNING", "ERROR"), flag=True
    )


@dataclass(frozen=True, slots=True)
class ModelsSection:
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
    watch_every_s: float = key(
        2.0,
        "so often the repository is looked at for families that came since; 0: never",
        flat="watch_models_every_s",
    )
    repository_calls: bool = key(
        True, "clients may load and unload families (RepositoryModelLoad, RepositoryModelUnload)"
    )
    reject_non_finite: bool = key(True, "NaN and infinities in float inputs are bad input")


@dataclass(frozen=True, slots=True)
class SloSection:
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
    late: str = key(
        "answer",
        "what becomes of requests that state neither slo_ms nor a deadline, timeout or class when their time is up: "
        "answered when nobody else wants a worker, or refused",
        flat="late_requests",
        one_of=("answer", "refuse"),
        flag=True,
    )
    reply_margin_ms: float = key(
        2.0, "of every bound, kept back for the answer's way to the client"
    )


@dataclass(frozen=True, slots=True)
class PolicySection:
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
class MachineSection:
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
    memory_mib: int = key(
        0,
        "what a family's arms may take in memory, by their profiles: those are held that the load is worth most with; "
        "0: no bound",
        flag=True,
    )
    watch_every_s: float = key(
        0.25,
        "so often the hardware is looked at: cores, quota, clocks, neighbours, GPUs; 0: never",
    )
    price_per_core_hour: float = key(
        0.0,
        "what a core costs an hour, in any currency, for answers per money on dashboards; 0: not told",
    )


@dataclass(frozen=True, slots=True)
class ProfilesSection:
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
class CandidatesSection:
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
class Config:
    """The whole configuration. Empty paths mean the user's cache; 0 often means `measure and choose`, or `never`."""

    server: ServerSection = field(default_factory=ServerSection)
    models: ModelsSection = field(default_factory=ModelsSection)
    slo: SloSection = field(default_factory=SloSection)
    policy: PolicySection = field(default_factory=PolicySection)
    machine: MachineSection = field(default_factory=MachineSection)
    profiles: ProfilesSection = field(default_factory=ProfilesSection)
    candidates: CandidatesSection = field(default_factory=CandidatesSection)
    limits: LimitsSection = field(default_factory=LimitsSection)
    sharing: SharingSection = field(default_factory=SharingSection)


KEYS = keys_of(Config)
"""Every key, section by section."""
