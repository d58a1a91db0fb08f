"""What steps are weighed by where tickets are alike: who is considered, the terms, and what each is worth."""

from bisect import bisect_left
from math import inf

from server.policy.decision import Outlook
from server.policy.dispatch.menu import IS_COMPILED, Floats
from server.policy.dispatch.pricing import Planner, slo_between
from server.policy.dispatch.returning import returning
from server.policy.dispatch.risks import Barred, Risk, risks
from server.policy.dispatch.shed import Line
from server.policy.queueing.tickets import Queue

FEW = 1000 if IS_COMPILED else 40
"""Up to so many steps are looked at one by one, more of them as arrays, where none can be left out."""


class Scene:
    """The tickets that are not late, the terms for serving them, and what each step is worth by these.

    The worth is the accuracy it earns and what those behind it can still get, less the price of its time, less what it
    puts out of reach and what it risks. Of a clump that is planned as a whole it is partly the plan's. A large batch
    may begin behind tickets that it would make late: those are given up. `offered`: so many of the menu's entries can
    be filled; where it is one, there is nothing to weigh.
    """

    def __init__(
        self, queue: Queue, mask: int, planner: Planner, outlook: Outlook, at: tuple[float, int]
    ) -> None:
        """`at`: the time, and how many of the queue are late; not all of them."""
        now_s, late = at
        length = min(len(queue.deadlines) - late, planner.look)
        head = queue[late]
        slo_s = slo_between(head, head if length == 1 else queue[late + length - 1])
        table, self.wait_value, self.menu = planner.served(mask, slo_s)
        work_s = planner.work_s(planner.row_s(table, outlook) / outlook.workers)
        lag_s = planner.lag_s(table, length, outlook)
        self.line = Line(queue.deadlines, late, work_s, lag_s, now_s)
        self.rows = length - self.line.first
        """So many can be served."""
        bound_s = head.deadline_s - head.arrival_s
        considered = 0 if self.line.first else length
        self.pricing = planner.pricing(table, slo_s, considered, outlook, now_s, bound_s)
        self.offered = self.menu.count[min(self.rows, self.menu.most)]
        self._table, self._slo_s, self.switches = table, slo_s, planner.switches
        self._lost_by_each = list[Floats]()
        """What each entry of the menu risks, by the first of `risks`: those reckoned so far."""
        if self.offered > 1:
            self._weigh_by(mask, planner, outlook)

    def _weigh_by(self, mask: int, planner: Planner, outlook: Outlook) -> None:
        line, pricing, menu, slo_s = self.line, self.pricing, self.menu, self._slo_s
        self.risks = risks(outlook, pricing.row_s, slo_s, planner, shed=line.first > 0)
        self.planned = (
            planner.planned_clump(mask, slo_s, self._table, outlook) if line.length > 1 else None
        )
        self.price, self.lost = pricing.price, pricing.lost
        self.start_s = pricing.now_s + pricing.guard_s
        last_s = line.deadlines[line.late + line.length - 1]
        self.due_s = last_s - pricing.guard_s - pricing.now_s
        """How long (s) until the last of the line is due, less the guard."""
        self.waiting = pricing.stay
        """What a row left waiting is worth."""
        if self.rows > 1 and self.risks:
            self.waiting = self._at_risk()
        first_s = line.deadlines[line.late + line.first]
        self.tight = first_s < self.start_s + menu.slowest_s[min(self.rows, menu.most)]
        """Whether some batches may not be in time for the first of the line."""
        self.hurried = first_s < self.start_s + menu.slowest_s[1]
        """Whether it may not be in time even by itself: then few bounds tell much."""

    def earned(self, entry: int) -> float:
        """What an entry earns, less the price of its time and what it risks."""
        _, accuracy, mean_s, _ = self.menu.entries[entry]
        worth = accuracy - self.price * mean_s
        for risk in self.risks:
            worth -= self.lost * risk.lost(mean_s)
        return worth

    def earned_by_each(self) -> Floats:
        """The same of each entry that can be filled."""
        mean_s = self.menu.mean_s[: self.offered]
        worth = self.menu.accuracy[: self.offered] - self.price * mean_s
        for lost in self._lost_by_each:
            worth -= lost[: self.offered]
        for risk in self.risks[len(self._lost_by_each) :]:
            worth -= self.lost * risk.lost_by_each(mean_s)
        return worth

    def worth(self, entry: int, earned: float) -> tuple[float, int]:
        """What an entry is worth that has `earned` so much, and where it begins. Minus infinity: it is not in time.

        The fastest arm for one row always begins with the first: that is in time if it starts at once, without guard.
        """
        line, pricing, menu = self.line, self.pricing, self.menu
        late, first, length, deadlines = line.late, line.first, line.length, line.deadlines
        size, accuracy, mean_s, upper_s = menu.entries[entry]
        begin, needed_s = first, upper_s + self.start_s
        if self.tight and deadlines[late + first] < needed_s and entry != menu.alone:
            begin = bisect_left(deadlines, needed_s, late + first, late + length) - late
        end = begin + size
        if end > length:
            return -inf, begin
        left, done_s, waiting = (
            length - end,
            pricing.now_s + pricing.busy_share * mean_s,
            self.waiting,
        )
        worth = earned
        if left:
            stay = waiting
            if waiting > self.wait_value.least:
                slack_s = deadlines[late + end] - (done_s + pricing.guard_s)
                stay = min(stay, self.wait_value.of(left, slack_s))
            worth += left * stay
            worth -= self.lost / pricing.row_s * line.beyond_s(end, done_s)
        if waiting < 0.0:  # who is given up on is worth no more than who waits on
            worth += (begin - first) * waiting
        if self.switches:
            worth -= returning(menu.runs_on[entry], menu.arms, self._table, pricing, self._slo_s)
        if self.planned is not None:
            as_one = self.planned.worth(accuracy, mean_s, left, self.due_s)
            worth += self.planned.weight * (as_one - worth)
        return worth, begin

    def _at_risk(self) -> float:
        """What a row left waiting is worth at best: its own batch may stall, too, or meet a clump."""
        waiting = self.pricing.stay
        for risk in self.risks:
            if not isinstance(risk, Barred):  # that is the last
                waiting = min(waiting, self._row_at_best(risk, waiting))
        return waiting

    def _row_at_best(self, risk: Risk, enough: float) -> float:
        """What a row gets at best, with this risk alone; where that is `enough`, no more is looked for."""
        price, lost, entries = self.price, self.lost, self.menu.entries
        if len(entries) > FEW:
            risked = lost * risk.lost_by_each(self.menu.mean_s)
            self._lost_by_each.append(risked)
            each = self.menu.accuracy - price * self.menu.mean_s - risked
            return float((each / self.menu.size).max())
        most = -inf
        for size, accuracy, mean_s, _ in entries:
            earned = accuracy - price * mean_s
            if earned > most * size:
                most = max(most, (earned - lost * risk.lost(mean_s)) / size)
                if most >= enough:
                    break
        return most
