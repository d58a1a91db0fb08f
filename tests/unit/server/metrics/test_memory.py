"""What families' arms take is told as it is when metrics are read."""

from prometheus_client import CollectorRegistry, generate_latest

from server.metrics.memory import FamilyMemory, watch_arms_memory


def test_each_familys_arms_are_told_as_they_are_now():
    registry, found = CollectorRegistry(), [FamilyMemory("a", 10, 20, 1)]
    watch_arms_memory(registry, lambda: found)
    found.append(FamilyMemory("b", 30, 0, 0))

    lines = generate_latest(registry).decode().splitlines()

    assert 'gearshift_arms_memory_bytes{family="a"} 10.0' in lines
    assert 'gearshift_arms_memory_budget_bytes{family="a"} 20.0' in lines
    assert 'gearshift_arms_left_out{family="a"} 1.0' in lines
    assert 'gearshift_arms_memory_bytes{family="b"} 30.0' in lines
