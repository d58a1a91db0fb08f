"""What a published task remembers of how it was made."""

import json
from dataclasses import asdict

import pytest

from trainer.errors import TrainError
from trainer.tasks.asked import Asked, Base, Heads, Scenes, asked_before


def test_what_was_asked_for_is_read_from_an_origin_again():
    asked = Asked(
        "digits", 3, Base(name="b"), Scenes(views="plain", same=0.5), Heads(tasks="six=6")
    )
    origin = json.dumps({"data": "digits", "asked": asdict(asked)})

    assert asked_before(origin) == asked


@pytest.mark.parametrize(
    "origin", ["", "{}", "[]", '{"asked": {"data": "digits"}}', '{"asked": 3}']
)
def test_an_origin_that_does_not_say_it_is_told_in_words(origin: str):
    with pytest.raises(TrainError, match="does not say how it was made"):
        asked_before(origin)
