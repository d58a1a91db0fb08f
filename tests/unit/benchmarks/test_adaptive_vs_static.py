"""Adaptive against static choices: at how many loads the promise is kept."""

from typing import Any

from benchmarks.serving.adaptive_vs_static_plot import promises


def a_load(**choices: tuple[float, float]) -> dict[str, Any]:
    """(attainment, effective accuracy) by choice."""
    return {
        name: {"attainment": attainment, "effective_accuracy": accuracy}
        for name, (attainment, accuracy) in choices.items()
    }


def test_a_promise_counts_where_a_static_choice_keeps_it_in_full():
    points = [
        a_load(adaptive=(0.99, 0.77), small=(1.0, 0.71), large=(0.99, 0.77)),
        a_load(adaptive=(0.99, 0.72), small=(1.0, 0.71), large=(0.99, 0.77)),
        a_load(adaptive=(0.985, 0.76), small=(0.995, 0.71), large=(0.9, 0.77)),
        a_load(adaptive=(0.95, 0.72), small=(0.985, 0.71), large=(0.6, 0.77)),
    ]

    assert promises(points, ["small", "large"]) == {
        "loads_at_which_a_static_choice_keeps_the_percentile": 3,
        "of_these_kept": 2,
        "of_these_as_accurate": 1,
    }
