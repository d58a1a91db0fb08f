"""The journal: which decisions are kept, and what is kept of them."""

from server.policy.decision import ArmProfile, Decision, Drop, Idle, Outlook, Run
from server.runtime.dispatch.journal import DROPS_REST_S, KEPT, QUIET_S, Journal, Record
from tests.support.builders import a_profile, a_ticket

ARM: ArmProfile = a_profile()
RUN = Run(ARM, (a_ticket(),), "drain")
DROPPING = Run(ARM, (a_ticket(),), "overload", (Drop(a_ticket(id=1), "shed"),))


def offered(journal: Journal, decision: Decision, now_s: float) -> bool:
    """Whether this decision was kept."""
    wanted = journal.wants(decision, now_s)
    if wanted:
        journal.keep(Record(now_s, 1e-5, (ARM,), (), 0, Outlook(), decision))
    return wanted


def test_the_first_decision_and_one_in_so_many_are_kept():
    journal = Journal(every=5)

    kept = [offered(journal, RUN, i * 1e-4) for i in range(11)]

    assert [i for i, one in enumerate(kept) if one] == [0, 5, 10]


def test_a_decision_that_drops_somebody_is_kept_but_not_each_of_many():
    journal = Journal(every=1000)
    offered(journal, RUN, 0.0)

    kept = [offered(journal, DROPPING, DROPS_REST_S * i / 4) for i in range(1, 13)]

    assert sum(kept) == 3


def test_the_first_decision_after_a_quiet_time_is_kept():
    journal = Journal(every=1000)
    offered(journal, RUN, 0.0)

    assert not offered(journal, Idle(), 0.9 * QUIET_S)
    assert offered(journal, Idle(), 1.1 * QUIET_S)


def test_the_last_are_told_newest_first_and_the_oldest_give_way():
    journal = Journal(every=1)
    for i in range(KEPT + 5):
        offered(journal, RUN, float(i))

    assert [record.at_s for record in journal.last(2)] == [KEPT + 4.0, KEPT + 3.0]
    assert len(journal.last(KEPT * 2)) == KEPT
    assert journal.last(0) == []
