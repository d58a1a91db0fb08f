"""Which arms are held: what another beats in accuracy and latency alike is not."""

from server.policy.arms.keep import beats, worth_keeping
from tests.support.builders import a_profile

SMALL = a_profile("small", 0.70, 0.003, 0.002)
LARGE = a_profile("large", 0.80, 0.012, 0.008)


def test_arms_that_trade_accuracy_for_time_all_stay():
    assert worth_keeping([SMALL, LARGE]) == {SMALL.arm, LARGE.arm}


def test_an_arm_that_is_slower_and_less_accurate_goes():
    useless = a_profile("useless", 0.65, 0.004, 0.003)

    assert worth_keeping([SMALL, LARGE, useless]) == {SMALL.arm, LARGE.arm}


def test_of_equals_in_accuracy_one_must_be_clearly_faster_to_put_the_other_out():
    nearly = a_profile("nearly", 0.70, 0.0033, 0.0022)
    clearly = a_profile("clearly", 0.70, 0.0045, 0.003)

    assert worth_keeping([SMALL, nearly, clearly]) == {SMALL.arm, nearly.arm}


def test_an_arm_that_runs_larger_batches_is_not_beaten_by_one_that_cannot():
    roomy = a_profile("roomy", 0.70, 0.006, 0.004, max_batch=32)

    assert not beats(SMALL, roomy)
    assert roomy.arm in worth_keeping([SMALL, roomy])


def test_two_alike_do_not_put_each_other_out():
    twin = a_profile("twin", 0.70, 0.003, 0.002)

    assert worth_keeping([SMALL, twin]) == {SMALL.arm, twin.arm}


def test_the_order_does_not_matter():
    arms = [SMALL, LARGE, a_profile("useless", 0.65, 0.004, 0.003)]

    assert worth_keeping(arms) == worth_keeping(arms[::-1])
