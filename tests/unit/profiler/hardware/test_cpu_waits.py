"""What a thread waits for a CPU is counted, and nothing is where nobody counts."""

from pathlib import Path

import pytest

from profiler.hardware import cpu_waits


def test_the_second_number_is_read_as_nanoseconds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    counted = tmp_path / "schedstat"
    counted.write_text("7000000000 2500000000 42\n")
    monkeypatch.setattr(cpu_waits, "_COUNTED", counted)

    assert cpu_waits.waited_s() == pytest.approx(2.5)


@pytest.mark.parametrize("content", [None, "", "1", "a b c"])
def test_where_nobody_counts_nothing_was_waited(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    counted = tmp_path / "schedstat"
    if content is not None:
        counted.write_text(content)
    monkeypatch.setattr(cpu_waits, "_COUNTED", counted)

    assert cpu_waits.waited_s() == 0.0
