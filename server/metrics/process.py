"""What the process takes: memory, CPU time, open files, when it began. Read when metrics are, at no other time."""

from prometheus_client import CollectorRegistry, ProcessCollector


def watch_process(registry: CollectorRegistry) -> None:
    """Add `process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds`, and when it began,
    `process_start_time_seconds`; none where the system has no /proc. Raises ValueError where the registry has them."""
    ProcessCollector(registry=registry)
