"""The frontier as text: where a mark is says how fast and how accurate an arm is."""

from gearshift.frontier_text import HEIGHT, WIDTH, Mark, picture


def place(lines: list[str], letter: str) -> tuple[int, int]:
    """(column, row from the bottom) of a mark in the field."""
    ((row, line),) = [(i, line[8:]) for i, line in enumerate(lines[:HEIGHT]) if letter in line[8:]]
    return line.index(letter), HEIGHT - 1 - row


def test_a_mark_stands_where_its_latency_and_accuracy_are():
    lines = picture([Mark("A", 1.0, 70.0), Mark("B", 10.0, 75.0), Mark("C", 100.0, 80.0)])

    assert place(lines, "A") == (0, 0)
    assert place(lines, "B") == (30, 7)
    assert place(lines, "C") == (WIDTH - 1, HEIGHT - 1)
    assert max(map(len, lines)) == WIDTH + 8
    assert len(lines) == HEIGHT + 2


def test_the_axes_say_the_ends_of_their_scales():
    lines = picture([Mark("A", 2.5, 61.5), Mark("B", 40.0, 99.25)])

    assert lines[0].startswith(" 99.25 |")
    assert lines[HEIGHT - 1].startswith(" 61.50 |")
    assert lines[-1].split() == ["2.5", "10", "40"]


def test_what_a_latency_buys_is_drawn_up_to_the_next_arm():
    lines = picture([Mark("A", 1.0, 70.0), Mark("B", 10.0, 80.0), Mark("", 10.0, 70.0)])

    assert lines[HEIGHT - 1][8:] == "A" + "." * (WIDTH - 2) + "o"
    assert lines[0][8:].strip() == "B"


def test_a_letter_hides_what_is_beaten_in_the_same_place():
    lines = picture([Mark("A", 1.0, 70.0), Mark("", 1.0, 70.0), Mark("", 9.0, 70.0)])

    assert place(lines, "A") == (0, HEIGHT // 2)


def test_one_arm_alone_stands_in_the_middle():
    lines = picture([Mark("A", 3.0, 50.0)])

    assert place(lines, "A") == (WIDTH // 2, HEIGHT // 2)
    assert lines[-1].split() == ["3"]
