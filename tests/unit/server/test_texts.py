"""Texts from outside are bounded and hold nothing that a terminal acts on."""

from server.texts import lines, listed, shown


def test_escape_codes_and_line_ends_are_written_out():
    assert shown("a\x1b[31m\nb\u202e") == "a\\x1b[31m\\nb\\u202e"


def test_a_long_text_is_cut_and_says_so():
    assert shown("x" * 5_000_000, 500) == "x" * 500 + " ..."


def test_what_is_plain_stays_as_it_is():
    assert shown("naïve ünïcode 漢字") == "naïve ünïcode 漢字"


def test_of_many_names_a_few_are_listed():
    assert listed(str(n) for n in range(10**9)) == ("['0', '1', '2', '3', '4', '5', '6', '7', ...]")


def test_lines_keep_their_ends():
    assert lines("a\x07\nb") == "a\\x07\nb"
