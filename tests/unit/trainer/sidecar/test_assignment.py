"""The table [sidecar]: what it may say, and every mistake in it told at once."""

from pathlib import Path

import pytest

from trainer.errors import TrainError
from trainer.run.settings import made, tables, values
from trainer.sidecar.assignment import Assignment, read

NEEDED = """
data = "digits"
[sidecar]
family = "digits"
repository = "models"
networks = ["cnn-w8-d2"]
budgets = [20000, 80000.0]
"""


def a_file(folder: Path, text: str) -> Path:
    path = folder / "train.toml"
    path.write_text(text)
    return path


def test_what_is_not_said_has_its_default(tmp_path: Path):
    found = read(a_file(tmp_path, NEEDED))

    assert found is not None
    assert found.budgets == (20000.0, 80000.0)
    assert (found.server, found.precisions, found.work) == ("localhost:8001", (), None)
    assert (found.pace.rounds, found.pace.nice, found.pace.threads) == (0, 19, 1)


def test_all_that_can_be_said_is_read(tmp_path: Path):
    more = 'server = "there:1"\nprecisions = ["int8"]\nrounds = 3\nidle_s = 0.5\nleast_gain = 0.01\nwork = "w"\n'

    found = read(a_file(tmp_path, NEEDED + more))

    assert found is not None
    assert (found.server, found.precisions, found.work) == ("there:1", ("int8",), Path("w"))
    assert (found.pace.rounds, found.pace.idle_s, found.aim.least_gain) == (3, 0.5, 0.01)


def test_a_file_without_the_table_is_of_a_single_run(tmp_path: Path):
    assert read(a_file(tmp_path, 'data = "digits"\nbudget = 1.0\n')) is None


def test_the_table_is_not_taken_for_settings_of_a_run(tmp_path: Path):
    assert values(a_file(tmp_path, NEEDED)) == {"data": "digits"}


def test_every_mistake_is_told_with_file_and_key(tmp_path: Path):
    keys = (
        'family = ""',
        "networks = []",
        'budgets = [0, "x"]',
        "nice = 20",
        "rounds = 1.5",
        "idle_s = -1",
    )
    path = a_file(tmp_path, "\n".join(["[sidecar]", *keys, "sever = 1", ""]))

    with pytest.raises(TrainError) as raised:
        read(path)

    said = str(raised.value)
    assert said.startswith(f"{path}: [sidecar]: ")
    for part in (
        "key 'sever' is unknown",
        "repository is missing",
        "family must not be empty",
        "networks must be a list of texts, not []",
        "budgets must be a list of numbers above 0, not [0, 'x']",
        "nice must be a whole number, 0 at least and 19 at most, not 20",
        "rounds must be a whole number, 0 at least, not 1.5",
        "idle_s must be a number, 0 at least, not -1",
    ):
        assert part in said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("server = 8001", "server must be text, not 8001"),
        ('precisions = "int8"', "precisions must be a list of texts, not 'int8'"),
        ("threads = true", "threads must be a whole number, 1 at least, not True"),
        ("least_gain = nan", "least_gain must be a number, 0 at least and 1 at most, not nan"),
    ],
)
def test_a_value_of_another_kind_is_refused(tmp_path: Path, line: str, said: str):
    with pytest.raises(TrainError, match="sidecar") as raised:
        read(a_file(tmp_path, f"{NEEDED}{line}\n"))

    assert said in str(raised.value)


def test_what_is_no_table_is_refused(tmp_path: Path):
    with pytest.raises(TrainError, match="sidecar must be a table"):
        read(a_file(tmp_path, "sidecar = 3\n"))


def test_the_example_names_every_key_with_its_default():
    path = Path(__file__).resolve().parents[4] / "train.example.toml"
    said = tables(path)["sidecar"]
    needed = {key: said[key] for key in ("family", "repository", "networks", "budgets")}

    found = read(path)
    plain = Assignment(
        needed["family"],
        Path(needed["repository"]),
        tuple(needed["networks"]),
        tuple(needed["budgets"]),
    )

    assert found == plain
    assert len(said) == 15
    assert made({**values(path), "budget": 1}).data == "digits"
