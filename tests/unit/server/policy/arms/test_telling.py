"""What an operator reads of arms that go out of use: the first time, what lasts, its end, and no chatter."""

from server.policy.arms.incidents import Back, Out, Stay, Verdict
from server.policy.arms.telling import EVERY_S, LASTS_S, Episodes, step
from server.policy.decision import Arm

A = Arm("a", "scripted")
OUT, BACK, STAY = Out(A, "slow", 0.0), Back(A, 0.1), Stay(A, "slow", 0.0)


def said(*verdicts: tuple[float, Verdict]) -> list[tuple[float, type[Verdict]]]:
    """Which of these are told."""
    episodes, lines = Episodes(), list[tuple[float, type[Verdict]]]()
    for now_s, verdict in verdicts:
        episodes, is_news = step(episodes, verdict, now_s)
        lines += [(now_s, type(verdict))] if is_news else []
    return lines


def test_the_first_time_out_and_its_end_are_told():
    assert said((1.0, OUT), (1.1, BACK)) == [(1.0, Out), (1.1, Back)]


def test_an_arm_that_flaps_is_told_of_once_a_minute():
    flaps = [(n / 2, verdict) for n in range(240) for verdict in (OUT, BACK)]

    assert said(*flaps) == [(0.0, Out), (0.0, Back), (EVERY_S, Out), (EVERY_S, Back)]


def test_how_often_it_was_out_unsaid_is_known_at_the_next_line():
    episodes = Episodes()
    for now_s in (0.0, 1.0, 2.0, 3.0):
        episodes, _ = step(episodes, OUT, now_s)

    assert episodes.unsaid == 3


def test_what_lasts_is_told_once_however_soon_after_another():
    lasting = [(2.0 + n / 4, STAY) for n in range(40)]

    lines = said((0.0, OUT), (0.1, BACK), (2.0, OUT), *lasting, (13.0, BACK))

    assert lines == [(0.0, Out), (0.1, Back), (2.0 + LASTS_S, Stay), (13.0, Back)]
