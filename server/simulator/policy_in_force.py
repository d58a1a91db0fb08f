"""What the policy knows while it is simulated: its tables and admission, rebuilt as the machine's speed is learnt."""

from collections.abc import Sequence
from dataclasses import replace

from server.policy.arms import retune
from server.policy.decision import ArmProfile, PolicyFactory
from server.policy.queueing.admission import admission, row_s
from server.simulator.noise import slowed_at, stalls_of, turns
from server.simulator.setup import Setup

FOREVER_S = float("inf")


class PolicyInForce:
    """The policy and admission in force. `turn_s` is when the policy is next told of a change of speed.

    `rebuilt` counts the tables made after the first. Raises ValueError if the policy cannot be built for `arms`.
    """

    def __init__(self, arms: Sequence[ArmProfile], factory: PolicyFactory, setup: Setup) -> None:
        self._profiled = tuple(arms)
        self._factory = factory
        self._setup = setup
        self._known = retune.with_arms(retune.Known(setup.slo_s), arms)
        self._turns = turns(setup.spell) if setup.follow == "told" else ()
        self.turn_s = 0.0
        self.measures = setup.follow == "measured"
        self.rebuilt = -1
        self.turn(0.0)

    def ran(self, ran: retune.LatencySample, running: Sequence[retune.RunningBatch]) -> None:
        """Learn from a batch that ended, while others run."""
        self._known, arms = retune.observe(self._known, ran, running)
        if arms is not None:
            self._apply(arms)

    def turn(self, now_s: float) -> None:
        """Take the true speed of `now_s`, where the policy is told it; else the profile's."""
        self.turn_s = next((at_s for at_s in self._turns if at_s > now_s), FOREVER_S)
        if self._setup.follow != "told":
            self._apply(self._profiled)
            return
        noise, spell = self._setup.noise, self._setup.spell
        self._apply(
            [
                _scaled(
                    replace(arm, switch_s=self._setup.switching.change_s, stalls=stalls_of(noise)),
                    noise.scale * slowed_at(spell, now_s, arm.arm.variant),
                    noise.overhead_s,
                )
                for arm in self._profiled
            ]
        )

    def revive(self, now_s: float) -> None:
        """A request was refused: where what was learnt keeps everybody out for too long, believe the profiles again, or
        less of what was learnt."""
        if not self.measures:
            return
        revived = retune.revived(self._known, self._setup.slo_s, now_s)
        if revived is not None:
            self._known, arms = revived, retune.arms_now(revived)
        else:
            self._known, arms = retune.refused(self._known, now_s)
        if arms is not None:
            self._apply(arms)

    def _apply(self, arms: Sequence[ArmProfile]) -> None:
        self.arms = tuple(arms)
        self.policy = self._factory(arms)
        self.pace_s = row_s(arms) / self._setup.workers
        self.admit = admission(arms, self._setup.capacity_rows, self._setup.workers)
        self.rebuilt += 1


def _scaled(arm: ArmProfile, factor: float, added_s: float) -> ArmProfile:
    mean_s, upper_s = (
        (0.0, *(factor * s + added_s for s in table[1:])) for table in (arm.mean_s, arm.upper_s)
    )
    return replace(arm, mean_s=mean_s, upper_s=upper_s)
