"""What the tables of the special cases say: who is ahead, and where a promise is lost."""

from dataclasses import replace

from benchmarks.policies.cases import before, clumps

CELLS: list[before.Cell] = [("gpu", "poisson", 1.0, 1), ("cpu", "gamma", 2.0, 4)]


def test_a_promise_that_was_kept_before_and_is_not_now_is_counted() -> None:
    then = [(0.80, 0.995), (0.70, 0.90)]

    kept = before.table(CELLS, [(0.81, 0.99), (0.60, 0.80)], then, "cmd")
    lost = before.table(CELLS, [(0.81, 0.98), (0.60, 0.80)], then, "cmd")

    assert (
        "kept the promise in 1; there ours keeps it in 1, and is more than 0.1 awg below it in 0"
        in kept
    )
    assert "there ours keeps it in 0" in lost
    assert kept.index("cpu gamma 2x W4 | -10.00") < kept.index("gpu poisson 1x W1 | +1.00")


def test_the_best_variant_of_each_form_is_compared() -> None:
    one = clumps.Clumped("cameras", 1.0, 1, (11,), 1.0)
    results = {one: (0.80, 0.99)}
    for form, awg in zip(clumps.RIVALS.values(), (0.79, 0.804, 0.81), strict=True):
        results[replace(one, policy=form.format("a"))] = (awg, 1.0)
        results[replace(one, policy=form.format("b"))] = (0.1, 1.0)

    said = clumps.table([one], results, ["a", "b"], "cmd")

    assert (
        "| cameras 1x W1 | 80.00% | 99.0% | +1.00 (100.0%) | -0.40 (100.0%) | -1.00 (100.0%) |"
        in said
    )
    assert "our batching 0, greedy 0, early drop 1" in said
