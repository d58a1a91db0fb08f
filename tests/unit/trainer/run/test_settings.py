"""Settings from TOML and flags: what wins, and every mistake told at once."""

from pathlib import Path
from typing import Any

import pytest

from trainer.errors import TrainError
from trainer.run.settings import HELD_OUT, Recipe, Selection, Settings, made, read

WHOLE = """
data = "digits"
budget = 1e6
seed = 3

[recipe]
lr = 0.2
batch = 64

[selection]
selector = "stale:n=2"
way = "bf16"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "run.toml"
    path.write_text(text)
    return path


def refusal(values: dict[str, Any]) -> str:
    with pytest.raises(TrainError) as raised:
        made({"data": "digits", "budget": 1e5, **values})
    return str(raised.value)


def test_a_file_has_top_level_keys_and_two_tables(tmp_path: Path):
    settings = read(written(tmp_path, WHOLE), {})

    assert settings == Settings(
        "digits",
        1e6,
        seed=3,
        recipe=Recipe(lr=0.2, batch=64),
        selection=Selection("stale:n=2", "bf16"),
    )


def test_flags_win_over_the_file_and_leave_the_rest(tmp_path: Path):
    settings = read(written(tmp_path, WHOLE), {"lr": 0.5, "seed": 4, "selector": "uniform"})

    assert (settings.recipe.lr, settings.seed, settings.selection.selector) == (0.5, 4, "uniform")
    assert (settings.recipe.batch, settings.selection.way) == (64, "bf16")


def test_whole_numbers_do_for_numbers():
    settings = made({"data": "digits", "budget": 100000, "lr": 1})

    assert (settings.budget, settings.recipe.lr) == (100000.0, 1.0)
    assert type(settings.budget) is float


def test_mistakes_of_every_kind_are_told_together_with_the_files_name(tmp_path: Path):
    path = written(
        tmp_path,
        'colour = 1\nbudget = -5\nseed = "x"\n[recipe]\nspeed = 2\nlr = 0\n[selection]\nway = "fp4"\n[extra]\na = 1\n',
    )

    with pytest.raises(TrainError) as raised:
        read(path, {})

    told = str(raised.value)
    assert told.startswith(f"{path}: ")
    for mistake in (
        "key 'colour' is unknown",
        "key 'speed' is unknown",
        "key 'extra' is unknown",
        "data is missing",
        "seed must be a whole number, not 'x'",
        "budget must be above 0 units and finite, not -5.0",
        "lr must be above 0",
        "way 'fp4' is unknown; known: plain, bf16",
    ):
        assert mistake in told


def test_a_key_in_the_wrong_table_is_unknown_there(tmp_path: Path):
    with pytest.raises(TrainError, match="key 'lr' is unknown"):
        read(written(tmp_path, 'data = "digits"\nbudget = 1.0\nlr = 0.1\n'), {})


@pytest.mark.parametrize("text", ["data = ", "\x00", "[recipe"])
def test_a_file_that_is_no_toml_is_named(tmp_path: Path, text: str):
    path = written(tmp_path, text)

    with pytest.raises(TrainError, match=r"run\.toml cannot be read"):
        read(path, {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(TrainError, match=r"none\.toml cannot be read"):
        read(tmp_path / "none.toml", {})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("budget", 0.0),
        ("budget", float("nan")),
        ("budget", float("inf")),
        ("seed", -1),
        ("seed", 1 << 64),
        ("seed", True),
        ("seed", 1.0),
        ("batch", 1),
        ("lr", float("nan")),
        ("lr", float("inf")),
        ("momentum", 1.0),
        ("weight_decay", float("nan")),
        ("weight_decay", -0.1),
        ("warmup", 1.0),
        ("label_noise", 1.0),
        ("label_noise", -0.1),
        ("held_out", float("nan")),
        ("refresh_steps", 0),
        ("decay", "steps"),
        ("augment", "rotate"),
        ("precision", "int8"),
        ("network", 3),
        ("labels", "file.npz"),
    ],
)
def test_a_value_out_of_range_or_of_another_type_is_named(key: str, value: Any):
    assert f"command line: {key} " in refusal({key: value})


def test_labels_are_a_file_and_a_key():
    assert made({"data": "x", "budget": 1.0, "labels": "a.npz:worse"}).labels == "a.npz:worse"


@pytest.mark.parametrize("selector", ["adaptive", "adaptive:wins=3"])
def test_only_a_selector_that_adapts_holds_examples_out_by_itself(selector: str):
    given = {"data": "digits", "budget": 1.0}

    assert made({**given, "selector": selector}).selection.held_out == HELD_OUT
    assert made({**given, "selector": selector, "held_out": 0.0}).selection.held_out == 0.0
    assert made({**given, "selector": "stale"}).selection.held_out == 0.0
