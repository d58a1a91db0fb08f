"""Model-Switching (Zhang et al., HotCloud'20): a table from load to the variant of the highest effective accuracy."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from server.policy.decision import ArmProfile, PolicyFactory
from server.policy.reference.planned import LOOK_AHEAD, BatchRule, sizes_within
from server.policy.reference.planning import ExpectedLoad, Offline, periodic
from server.policy.reference.poisson import Floats, arriving, growing

HEADROOM = 1.05
"""How many times the observed load the table is asked for. Kind: a load just below a switch is soon above it."""


def model_switching() -> PolicyFactory:
    """Switches by the load of the last period to the variant, and batch size, that the table has for it.

    The paper fills the table by running every variant under every load; here a Markov chain of the queue does.
    """
    table = Offline(_best)
    return periodic(
        lambda arms, load: table.at(arms, replace(load, rate_rps=HEADROOM * load.rate_rps))
    )


def _best(arms: Sequence[ArmProfile], load: ExpectedLoad) -> BatchRule:
    choices = [
        BatchRule(arm, rows) for arm in arms for rows in sizes_within(arm, load.slo_s) or [1]
    ]
    return max(choices, key=lambda choice: choice.profile.accuracy * in_time(choice, load))


def in_time(choice: BatchRule, load: ExpectedLoad) -> float:
    """The share of Poisson arrivals (rate above 0) that batches of at most `choice.rows` answer in time.

    A chain over the rows that wait when a worker asks. It takes what waits, up to a batch; meanwhile others arrive, and
    by Little's law no more of them can still be in time than come while the first of them has slack. Workers that share
    the queue ask that many times as often.
    """
    slack_s = load.slo_s - choice.profile.upper_s[choice.rows]
    most = min(LOOK_AHEAD, max(choice.rows, int(load.rate_rps * slack_s)))
    waiting = np.arange(most + 1)
    served = np.minimum(waiting, choice.rows)
    spans_s = np.array(choice.profile.mean_s)[served] / load.workers
    spans_s[0] = 1.0 / load.rate_rps
    grown = growing(arriving(load.rate_rps * spans_s, most))
    chain = grown[waiting, waiting - served]
    chain[0] = waiting == 1
    often = _stationary(chain)
    return min(1.0, float(often @ served) / (load.rate_rps * float(often @ spans_s)))


def _stationary(chain: Floats) -> Floats:
    """The stationary distribution (n) of a transition matrix (n x n, rows sum to 1)."""
    size = len(chain)
    equations = chain.T - np.eye(size)
    equations[-1] = 1.0
    return np.linalg.solve(equations, np.eye(size)[-1])
