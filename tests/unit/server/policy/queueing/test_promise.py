"""How careful the policy must be for its promise, and where no care would help."""

import pytest

from server.policy.queueing.promise import AIM, Promise, Reach, idle, observe, offered


def after(promise: Promise, ended: int, in_time: float, reach: Reach = Reach()) -> Promise:  # noqa: B008 - frozen
    """Many looks, each at twenty requests."""
    for _ in range(ended // 20):
        promise = observe(promise, 20.0, 20.0 * in_time, 0.99, reach)
    return promise


@pytest.mark.parametrize(("in_time", "careful"), [(1.0, 0.0), (0.995, 0.0), (0.97, 1.0)])
def test_care_follows_the_loss_that_is_allowed(in_time: float, careful: float):
    assert after(Promise(), 5_000, in_time).caution == careful


def test_care_stays_where_the_loss_is_what_is_aimed_at():
    careful = Promise(caution=0.5)

    assert after(careful, 2_000, 1.0 - 0.01 * AIM).caution == pytest.approx(0.5, abs=0.01)


def test_a_promise_that_nobody_could_keep_takes_no_care():
    hopeless = Reach(share=0.8)

    assert after(Promise(caution=1.0), 2_000, 0.7, hopeless).caution < 0.01


def test_attainment_is_of_the_last_thousand_or_so():
    promise = after(after(Promise(), 10_000, 1.0), 3_000, 0.9)

    assert promise.attainment == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize(("gap_s", "share"), [(0.010, 1.0), (0.002, 0.45)])
def test_what_is_within_reach_hangs_on_the_pace_of_the_cheapest_arm(gap_s: float, share: float):
    reach = Reach()
    for i in range(20_000):
        reach = offered(reach, 1, i * gap_s, 0.05, 0.004)

    assert reach.share == pytest.approx(share, abs=0.05)


def test_without_arms_nothing_is_out_of_reach():
    assert offered(Reach(), 5, 1.0, 0.05, 0.0) == Reach()


def test_a_promise_of_all_requests_forgets_a_miss_in_time():
    promise = observe(Promise(), 20.0, 0.0, 1.0, Reach())
    for _ in range(2_000):
        promise = observe(promise, 20.0, 20.0, 1.0, Reach())

    assert promise.caution == 0.0


@pytest.mark.parametrize(("in_time", "bold"), [(1.0, 1.0), (0.999, 1.0), (0.985, 0.0)])
def test_boldness_grows_where_less_is_lost_than_is_allowed(in_time: float, bold: float):
    assert after(Promise(boldness=0.5), 20_000, in_time).boldness == bold


def test_a_lax_percentile_makes_nobody_lose_much_for_boldness():
    promise = Promise(boldness=1.0)
    for _ in range(1_000):
        promise = observe(promise, 20.0, 19.0, 0.5, Reach())

    assert promise.caution == promise.boldness == 0.0


def test_boldness_takes_losses_that_nobody_could_have_avoided_as_losses():
    assert after(Promise(boldness=1.0), 2_000, 0.9, Reach(share=0.8)).boldness == 0.0


def test_one_large_request_says_no_more_than_a_small_one_of_what_can_be_kept():
    large, small = (offered(Reach(), rows, 1.0, 0.05, 0.1) for rows in (4096, 1))

    assert large.share == small.share > 0.99


def test_a_class_that_does_not_ask_holds_nobody_back():
    asked_once = Promise(caution=0.5)
    for _ in range(300):
        asked_once = idle(asked_once)

    assert asked_once.boldness > 0.99
    assert asked_once.caution < 0.01
