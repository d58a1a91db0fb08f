"""How the classes have fared."""

from server.policy.queueing.standing import EVERY_SLOS, MOST_ENDED, Standing

EVERY_S = EVERY_SLOS * 0.05


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


def test_broken_promises_make_careful_and_kept_ones_less_so():
    standing = Standing({}, percentile=0.99)
    for i in range(300):
        standing.ended("a", in_time=i % 10 > 0)
    standing.values(1.0)
    careful = standing.caution
    for _ in range(900):
        standing.ended("a", in_time=True)
    standing.values(2.0)

    assert 0.5 < careful <= 1.0
    assert standing.caution < careful - 0.1
    assert standing.attainment("a") > 0.95
    assert standing.attainment("nobody") == 1.0


def test_the_class_in_most_danger_sets_how_careful_to_be():
    standing = Standing({"a": 1.0, "b": 1.0})
    for _ in range(50):
        standing.ended("a", in_time=True)
        standing.ended("b", in_time=False)

    standing.values(1.0)

    assert standing.caution == standing.promises["b"].caution > standing.promises["a"].caution


def test_who_asks_for_more_than_the_slo_says_was_promised_nothing():
    standing = Standing({})
    for _ in range(500):
        standing.ended("a", in_time=False, promised=False)

    standing.values(1.0)

    assert standing.caution == 0.0
    assert standing.attainment("a") == 1.0
    assert standing.is_promised(0.05, 0.0, None)
    assert not standing.is_promised(0.01, 0.0, None)
    assert not standing.is_promised(0.05, 0.8, None)
    assert not standing.is_promised(0.05, 0.0, "large")


def test_what_nobody_asks_for_does_not_pile_up():
    standing = Standing({})
    for _ in range(3 * MOST_ENDED):
        standing.ended("a", in_time=False)

    standing.values(1.0)

    assert standing.promises["a"].ended <= MOST_ENDED


def test_a_class_that_asks_no_more_makes_nobody_careful_for_long():
    standing = Standing({})
    for _ in range(100):
        standing.ended("batch", in_time=False)
    standing.values(1.0)
    assert standing.caution == 1.0

    for i in range(400):
        standing.ended("default", in_time=True)
        standing.values(2.0 + i * EVERY_S)

    assert standing.caution < 0.01


def test_the_policy_is_as_bold_as_every_class_allows():
    standing = Standing({}, percentile=0.99, slo_s=0.05)
    for i in range(500):
        for _ in range(50):
            standing.ended("well", in_time=True)
        for n in range(50):
            standing.ended("ill", in_time=n % 2 == 0)
        standing.values(0.2 * i)

    assert standing.promises["well"].boldness == 1.0
    assert standing.boldness == 0.0
