"""What property tests draw: arms of any accuracy, cost and size; queues of tickets with any demands."""

from dataclasses import replace

from hypothesis import strategies as st

from server.policy.decision import (
    NO_HASTE,
    NO_STALLS,
    Arm,
    ArmProfile,
    Haste,
    Outlook,
    StallRisk,
    Ticket,
)
from tests.support.builders import a_profile, a_ticket

NOW_S = 1.0
"""The time at which drawn queues are looked at."""


@st.composite
def arm_sets(
    draw: st.DrawFn,
    most: int,
    max_batch: int,
    least_s: float = 1e-5,
    most_more_s: float = 0.02,
) -> list[ArmProfile]:
    """One to `most` arms, from `least_s` to 50 ms for a row and up to `most_more_s` for each further one."""
    return [
        a_profile(
            f"v{i}",
            draw(st.floats(0.0, 1.0)),
            draw(st.floats(least_s, 0.05)),
            draw(st.floats(0.0, most_more_s)),
            draw(st.integers(1, max_batch)),
        )
        for i in range(draw(st.integers(1, most)))
    ]


@st.composite
def queues(draw: st.DrawFn, least: int, most: int, most_rows: int = 12) -> list[Ticket]:
    """Tickets in order of deadline, some of them with rows, demands, pins or deadlines long past."""
    plain = draw(st.booleans())
    waiting = [
        a_ticket(
            i,
            NOW_S - draw(st.floats(0.0, 0.1)),
            draw(st.sampled_from([0.02, 0.05, 0.1])),
            1 if plain else draw(st.integers(1, most_rows)),
            0.0 if plain else draw(st.sampled_from([0.0, 0.3, 0.6, 0.95])),
            None if plain else draw(st.sampled_from([None, None, None, "v0", "v1", "gone"])),
        )
        for i in range(draw(st.integers(least, most)))
    ]
    return sorted(waiting, key=lambda t: (t.deadline_s, t.id))


@st.composite
def arms_drawn(draw: st.DrawFn) -> list[ArmProfile]:
    """One to twelve arms, up to 40 rows; batches may stall, and switches cost something."""
    stalls = draw(
        st.sampled_from([NO_STALLS, NO_STALLS, StallRisk(0.02, 4.0), StallRisk(0.1, 2.5)])
    )
    switch_s = draw(st.sampled_from([0.0, 0.0, 1e-4, 2e-3]))
    found = draw(arm_sets(12, 40, 1e-4, 2e-3))
    return [replace(arm, stalls=stalls, switch_s=switch_s) for arm in found]


@st.composite
def outlooks(draw: st.DrawFn) -> Outlook:
    """Any load and unevenness, any care, with switches and haste."""
    clump_rows = draw(st.sampled_from([1.0, 1.2, 1.5, 3.0, 8.0, 30.0]))
    burst_rows = draw(st.sampled_from([1.0, 1.4, 0.5 * clump_rows, clump_rows, 10.0]))
    return Outlook(
        draw(st.floats(0.0, 1e4)),
        draw(st.sampled_from([1, 1, 2, 4, 40])),
        clump_rows=clump_rows,
        burst_rows=max(1.0, burst_rows),
        caution=draw(st.sampled_from([0.0, 0.0, 0.3, 1.0])),
        boldness=draw(st.sampled_from([0.0, 0.4, 1.0])),
        last=draw(st.sampled_from([None, Arm("v0", "scripted"), Arm("v1", "scripted")])),
        haste=draw(st.sampled_from([NO_HASTE, NO_HASTE, Haste(200.0, 0.01)])),
        busy_s=draw(st.sampled_from([0.0, 0.02])),
    )
