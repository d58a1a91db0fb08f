"""No ticket is lost, duplicated or reordered by any sequence of pushes, cancels and pops."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from server.policy.decision import Ticket
from server.policy.queueing.tickets import Queue
from tests.support.builders import a_ticket


class QueueAgainstASet(RuleBasedStateMachine):
    """The queue beside the simplest thing that could be right."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = Queue()
        self.model: set[Ticket] = set()
        self.pushed = 0

    @rule(slo=st.integers(1, 5), rows=st.integers(1, 4))
    def push(self, slo: int, rows: int) -> None:
        """Ids are unique, deadlines are not."""
        ticket = a_ticket(self.pushed, slo_s=0.1 * slo, rows=rows)
        self.pushed += 1
        self.queue.push(ticket)
        self.model.add(ticket)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Of a waiting ticket or of one that has gone."""
        ticket = data.draw(
            st.sampled_from([*sorted(self.model, key=lambda t: t.id), a_ticket(10**6)])
        )
        assert self.queue.remove(ticket) == (ticket in self.model)
        self.model.discard(ticket)

    @rule(data=st.data())
    def pop(self, data: st.DataObject) -> None:
        """Any of those waiting."""
        taken = data.draw(st.sets(st.sampled_from(list(self.queue)))) if self.model else set()
        self.queue.pop(taken)
        self.model -= taken

    @invariant()
    def holds_the_same_in_order(self) -> None:
        """Earliest deadline first, then by id; rows counted."""
        expected = sorted(self.model, key=lambda t: (t.deadline_s, t.id))
        assert list(self.queue) == expected
        assert [self.queue[i] for i in range(len(self.queue))] == expected
        assert self.queue.rows == sum(t.rows for t in expected)
        assert all(t in self.queue for t in expected)


TestQueue = QueueAgainstASet.TestCase
