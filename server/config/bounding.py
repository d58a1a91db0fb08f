"""The sections that bound what others may have: clients, and shared tasks."""

from dataclasses import dataclass

from server.config.keys import key


@dataclass(frozen=True, slots=True)
class LimitsSection:
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
        16,
        "of answers that clients have not taken (they take twice the memory); above it, who reads slowest "
        "loses some. Always room for four of the largest answers",
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
        1024,
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
class SharingSection:
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
