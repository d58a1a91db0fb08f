"""SLO classes from a file, and the tickets they make."""

from pathlib import Path

import pytest

from server.simulator.classes import SloClass, read_classes, tickets_of

TWO = """
[[class]]
name = "gold"
share = 1
slo_ms = 20
min_accuracy = 0.8
weight = 4.0

[[class]]
name = "bulk"
share = 3
rows = 2
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "classes.toml"
    path.write_text(text)
    return path


def test_what_a_class_leaves_out_has_a_default(tmp_path: Path):
    gold, bulk = read_classes(written(tmp_path, TWO), 0.05)

    assert gold == SloClass("gold", 1.0, 0.02, 0.8, 4.0, 1)
    assert bulk == SloClass("bulk", 3.0, 0.05, 0.0, 1.0, 2)


def test_arrivals_are_shared_out_by_share_and_seed(tmp_path: Path):
    classes = read_classes(written(tmp_path, TWO), 0.05)
    times = [0.01 * i for i in range(4000)]

    tickets = tickets_of(classes, times, seed=1)

    gold = [t for t in tickets if t.slo_class == "gold"]
    assert len(gold) / len(tickets) == pytest.approx(0.25, abs=0.03)
    assert {(t.min_accuracy, t.rows) for t in gold} == {(0.8, 1)}
    assert all(t.deadline_s == pytest.approx(t.arrival_s + 0.02) for t in gold)
    assert tickets == tickets_of(classes, times, seed=1)
    assert tickets != tickets_of(classes, times, seed=2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "one .*class"),
        ("[[class]]\nshare = 1\n", "name"),
        ('[[class]]\nname = "a"\nshare = 1\ncolour = 3\n', "unknown key colour"),
        ('[[class]]\nname = "a"\nshare = 0\n', "class a: .* must be positive"),
        ('[[class]]\nname = "a"\nshare = 1\nmin_accuracy = 2\n', "within 0..1"),
        ('[[class]]\nname = "a"\nshare = 1\n[[class]]\nname = "a"\nshare = 1\n', "its own"),
        ("class = 3\n", "cannot read"),
        ("[[class]\n", "cannot read"),
    ],
)
def test_a_file_that_is_no_good_is_refused_by_name(tmp_path: Path, text: str, told: str):
    with pytest.raises(ValueError, match=rf"classes\.toml.*{told}"):
        read_classes(written(tmp_path, text), 0.05)
