"""The planner's models beside what the authors of Mainstream measured: event recall, frame rates of shared apps.

Nothing is run and nothing is fitted: both predictions follow from figures given beside the measurements. Needs the
folder of recordings, shared/mainstream beside the repository or below $GEARSHIFT_SHARED.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from server.sharing.planner.costing import additive
from server.sharing.planner.events import Floats, report_chance
from server.sharing.planner.plan import Choice, Scores
from server.sharing.planner.tree import cost_of
from server.sharing.planner.workload import Branch, Task

ROOT = Path(__file__).resolve().parents[2]
CORRELATIONS = {"train": 0.125, "pedestrian": 0.107}
"""As measured by the authors, by task."""
STRIDES_SHOWN = (1, 10, 30, 50, 100, 200, 300)


@dataclass(frozen=True, slots=True)
class Compared:
    """Predictions and measurements of one kind, pairwise."""

    name: str
    predicted: Floats
    measured: Floats
    at: Sequence[Any]
    """Stride or point of each pair."""

    @property
    def error(self) -> Floats:
        """Above 0 where too much was predicted."""
        return self.predicted - self.measured


def default_folder() -> Path:
    """$GEARSHIFT_SHARED, or shared beside the repository; in it, mainstream."""
    return Path(os.environ.get("GEARSHIFT_SHARED") or ROOT.parent / "shared") / "mainstream"


def recalls(recorded: Mapping[str, Any]) -> Iterator[Compared]:
    """Recall of the task's events at strides 1 to 300, averaged over events as long as those of the videos.

    P(positive | frame of an event) is the recall at stride 1 of the authors' bound in which frames of one event are all
    right or all wrong.
    """
    curves = recorded["recall_by_stride"]
    for task, correlation in CORRELATIONS.items():
        lengths = np.asarray(recorded["event_lengths"][task], np.float64)
        hit = np.asarray([curves[f"{task}.dependent-whole"][0]])
        strides = np.arange(1, len(curves[f"{task}.correlation"]) + 1)
        predicted = np.asarray(
            [report_chance(hit, correlation, lengths / stride, 1).mean() for stride in strides]
        )
        for kind in ("empirical-temporal", "empirical-random"):
            if (name := f"{task}.{kind}") in curves:
                yield Compared(name, predicted, np.asarray(curves[name]), strides.tolist())


def frame_rates(
    rows: Sequence[Mapping[str, Any]], shares: Mapping[str, float]
) -> Iterator[Compared]:
    """Frames a second of N apps behind one stem, by N, as fast as they can; `shares` is the stem's part of a network.

    One whole network's rate is the mean of what was measured for one app.
    """
    alone_fps = np.mean([_measured_fps(row) for row in rows if row["num_apps"] == 1])
    for apps in sorted({row["num_apps"] for row in rows}):
        of = [row for row in rows if row["num_apps"] == apps]
        at = [row["shared_up_to"] for row in of]
        predicted = [alone_fps / _cost_a_frame(shares[point], apps) for point in at]
        measured = [_measured_fps(row) for row in of]
        yield Compared(str(apps), np.asarray(predicted), np.asarray(measured), at)


def stem_shares(layers: Sequence[float], points: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """By point, the part of the network's cost that lies before it."""
    through = np.concatenate([[0.0], np.cumsum(layers)]) / np.sum(layers)
    return {
        "input_1": 0.0,
        **{point["op"]: float(through[point["num_layers"]]) for point in points[:-1]},
        points[-1]["op"]: 1.0,
    }


def _cost_a_frame(stem: float, apps: int) -> float:
    """Of all apps together, in whole networks; by the planner's own reckoning."""
    names = [f"app{number}" for number in range(apps)]
    tasks = [Task(name, (Branch(1, 1.0, 0.0),), 1.0, 0.5, 0.0) for name in names]
    choices = [Choice(name, 1, 1.0, 1, Scores(1.0, 1.0, 1.0)) for name in names]
    return cost_of(choices, additive((stem, 1.0 - stem), tasks))


def _measured_fps(row: Mapping[str, Any]) -> float:
    """Of the slowest part: the apps' mean, or the stem's where it is all there is."""
    return float(np.mean(row["app_fps"])) if row["app_fps"] else row["stem_fps"]


def _recall_lines(compared: Sequence[Compared]) -> Iterator[str]:
    strides = "".join(f" {stride} |" for stride in STRIDES_SHOWN)
    yield f"| recall at stride |{strides} mean error | mean absolute | largest |"
    yield "| --- |" + " --- |" * (len(STRIDES_SHOWN) + 3)
    for one in compared:
        for what, curve in (("predicted", one.predicted), ("measured", one.measured)):
            row = "".join(f" {curve[stride - 1]:.3f} |" for stride in STRIDES_SHOWN)
            yield f"| {one.name}, {what} |{row} {_errors(one.error) if what == 'predicted' else '| | |'}"


def _rate_lines(compared: Sequence[Compared]) -> Iterator[str]:
    yield "| apps | rows | predicted fps | measured fps | mean error | mean absolute | largest | at |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for one in compared:
        relative = one.error / one.measured
        yield (
            f"| {one.name} | {relative.size} | {one.predicted.mean():.2f} | {one.measured.mean():.2f} |"
            f" {_errors(relative, '+.1%')} {one.at[int(np.abs(relative).argmax())]} |"
        )


def _errors(error: Floats, form: str = "+.3f") -> str:
    size = np.abs(error)
    least = form.lstrip("+")
    return f"{error.mean():{form}} | {size.mean():{least}} | {size.max():{least}} |"


def _read(name: str) -> Any:
    return json.loads((default_folder() / name).read_text(encoding="utf-8"))


def report() -> str:
    """The result as Markdown."""
    points = _read("segment_latency_nuc.json")["architectures"]["inceptionv3"]
    layers = _read("inception_layer_costs.json")["inceptionv3_layer_costs_relative"]
    rows = _read("throughput_inception_sharing.json")["rows"]
    return "\n".join(
        [
            "# Models of sharing beside measurements",
            "",
            "The authors' measurements of Mainstream (Intel NUC, real video), predicted by `server/policy/sharing`"
            " without any fitting.",
            "Command: `python benchmarks/sharing/sharing_models.py`.",
            "",
            "Event recall (`events.py`), frames analysed at every n-th frame of the video:",
            "",
            *_recall_lines(list(recalls(_read("recall_vs_stride.json")))),
            "",
            "Frame rate of N InceptionV3 apps that share the layers up to one of 20 points (`tree.py`, costs added up);"
            " errors are relative:",
            "",
            *_rate_lines(list(frame_rates(rows, stem_shares(layers, points)))),
            "",
            "Added-up costs promise the more the more apps share a device. Measured costs replace them where they are"
            " known (`costing.py`).",
            "",
        ]
    )


def main() -> int:
    """Print the report and write benchmarks/results/sharing_models.md."""
    if not default_folder().is_dir():
        print(
            f"skipped: no {default_folder()}; GEARSHIFT_SHARED names the folder that has mainstream in it"
        )
        return 0
    text = report()
    print(text)
    (ROOT / "benchmarks" / "results" / "sharing_models.md").write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
