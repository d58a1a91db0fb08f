"""Lines of JSON as rows, labels in files, and what is refused with its line."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.adding.rows.given import GivenRows
from models.adding.rows.labels import numbered, read_labels
from models.adding.rows.lines import read_lines
from models.build.errors import BuildError
from models.catalog import Family, Slo, TensorSpec

X = TensorSpec("x", "FP32", (-1, 2))
IDS = TensorSpec("input_ids", "INT64", (-1, -1), ("tokens",))
MASK = TensorSpec("attention_mask", "INT64", (-1, -1), ("tokens",))
FREE = TensorSpec("z", "FP32", (-1, -1), ("tokens",))


def a_family(*inputs: TensorSpec) -> Family:
    return Family("", inputs, (), (), Slo(1.0))


def a_file(root: Path, *lines: object) -> Path:
    path = root / "rows.jsonl"
    path.write_text("".join(f"{x if isinstance(x, str) else json.dumps(x)}\n" for x in lines))
    return path


def test_an_object_a_line_has_a_value_for_each_input(tmp_path: Path):
    other = TensorSpec("n", "INT32", (-1,))
    path = a_file(
        tmp_path,
        {"x": [1, 2.5], "n": 3},
        "",
        {
            "n": -4,
            "x": [3, 4],
        },
    )

    found = read_lines(path, a_family(X, other))
    arrays, labels = found.inputs, found.labels

    assert arrays["x"].tolist() == [[1.0, 2.5], [3.0, 4.0]]
    assert arrays["n"].tolist() == [3, -4]
    assert (arrays["x"].dtype, arrays["n"].dtype) == (np.float32, np.int32)
    assert labels is None


def test_one_input_may_stand_alone_and_rows_may_have_labels(tmp_path: Path):
    assert read_lines(a_file(tmp_path, [1, 2], [3, 4]), a_family(X)).inputs["x"].tolist() == [
        [1.0, 2.0],
        [3.0, 4.0],
    ]
    path = a_file(tmp_path, {"x": [1, 2], "label": "dog"}, {"x": [3, 4], "label": 1})
    assert read_lines(path, a_family(X)).labels == ["dog", 1]


def test_an_input_that_is_called_label_is_one(tmp_path: Path):
    spec = TensorSpec("label", "INT64", (-1,))

    found = read_lines(a_file(tmp_path, {"label": 7}), a_family(spec))

    assert found.inputs["label"].tolist() == [7]
    assert found.labels is None


def test_tokens_are_filled_up_to_the_longest(tmp_path: Path):
    rows = [{"input_ids": [5] * n, "attention_mask": [1] * n} for n in (1, 3)]

    arrays = read_lines(a_file(tmp_path, *rows), a_family(IDS, MASK)).inputs

    assert arrays["input_ids"].tolist() == [[5, 0, 0], [5, 5, 5]]
    assert arrays["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]


@pytest.mark.parametrize(
    ("lines", "inputs", "said"),
    [
        ((), (X,), "holds no rows"),
        (([1, 2], "{"), (X,), "line 2: "),
        (({"x": [1, 2]}, {"y": [1, 2]}), (X,), "line 2: 'x' is missing; the inputs are x"),
        (({"x": [1, 2], "y": 1},), (X,), "line 1: 'y' is not wanted"),
        (([1, 2],), (X, IDS), "line 1: give an object with a value for each of x, input_ids"),
        (([1, 2, 3],), (X,), "line 1: input 'x' is [3], the model takes [2]"),
        (([1, "a"],), (X,), "line 1: input 'x' holds what is no FP32"),
        (([1, [2, 3]],), (X,), "line 1: input 'x' is no array of FP32"),
        (([1.5, 2],), (IDS,), "line 1: input 'input_ids' holds what is no INT64"),
        (([None, 2],), (X,), "line 1: input 'x' holds what is no FP32"),
        (({"x": [1, 2], "label": 1.5},), (X,), "line 1: 'label' must be"),
        (({"x": [1, 2], "label": 1}, {"x": [1, 2]}), (X,), "1 of 2 rows have a 'label'"),
        (([1, 2], [1]), (FREE,), "unlike sizes ([1] and [2])"),
        (([1e300, 2],), (X,), "line 1: input 'x' is no array of FP32"),
    ],
)
def test_what_is_no_row_is_refused_with_its_line(
    tmp_path: Path, lines: tuple[object, ...], inputs: tuple[TensorSpec, ...], said: str
):
    with pytest.raises(BuildError) as refused:
        read_lines(a_file(tmp_path, *lines), a_family(*inputs))

    assert said in str(refused.value)
    assert "rows.jsonl" in str(refused.value)


def test_labels_are_numbers_names_or_an_array(tmp_path: Path):
    (tmp_path / "numbers").write_text("3\n1\n\n")
    (tmp_path / "names").write_text("dog\r\ncat\r\n")
    np.save(tmp_path / "array.npy", np.array([2, 0]))
    np.save(tmp_path / "wide.npy", np.zeros((2, 2)))

    assert numbered(read_labels(tmp_path / "numbers"), ())[0].tolist() == [3, 1]
    found, names, said = numbered(read_labels(tmp_path / "names"), ())
    assert (found.tolist(), names) == ([1, 0], ("cat", "dog"))
    assert "0 cat, 1 dog" in said[0]
    assert numbered(read_labels(tmp_path / "names"), ("dog", "eel", "cat"))[0].tolist() == [0, 2]
    assert numbered(read_labels(tmp_path / "array.npy"), ())[0].tolist() == [2, 0]
    with pytest.raises(BuildError, match="cannot be read: it is no array of one class"):
        read_labels(tmp_path / "wide.npy")
    with pytest.raises(BuildError, match="cannot be read"):
        read_labels(tmp_path / "gone")


def test_labels_of_another_number_or_twice_are_refused(tmp_path: Path):
    labels = tmp_path / "labels"
    labels.write_text("1\n" * 39)
    with pytest.raises(BuildError, match=r"39 labels, .* 40 rows"):
        GivenRows(a_file(tmp_path, *[[1, 2]] * 40), labels).read(a_family(X))
    rows = a_file(tmp_path, *[{"x": [1, 2], "label": 1}] * 40)
    with pytest.raises(BuildError, match="leave one out"):
        GivenRows(rows, labels).read(a_family(X))
    with pytest.raises(BuildError, match="--normalise is for pictures"):
        GivenRows(rows, normalise="imagenet").read(a_family(X))
