"""How the classes have fared."""

from server.policy.queueing.standing import EVERY_S, Standing


def test_without_weights_every_answer_is_worth_the_same():
    standing = Standing({})

    standing.ended("a", in_time=True)
    standing.ended("b", in_time=False)

    assert standing.values(10.0) == {}


def test_a_class_that_is_missed_is_worth_more_from_the_next_look_on():
    standing = Standing({"a": 1.0, "b": 1.0})
    for _ in range(50):
        standing.ended("a", in_time=True)
        standing.ended("b", in_time=False)

    worth = standing.values(1.0)

    assert worth["b"] > worth["a"]


def test_values_are_made_anew_only_now_and_then():
    standing = Standing({"a": 1.0})
    standing.ended("a", in_time=True)
    standing.ended("b", in_time=True)
    first = standing.values(1.0)
    standing.ended("b", in_time=False)

    assert standing.values(1.0 + 0.5 * EVERY_S) is first
    assert standing.values(1.0 + 2.0 * EVERY_S) is not first
