"""What a run is asked to do: values from the command line or a TOML file, checked, all mistakes told together."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from math import inf
from pathlib import Path
from typing import Any

from surroundings.documents import toml_in
from trainer.errors import TrainError
from trainer.run.schedule import DECAYS

AUGMENTATIONS = ("none", "flip", "crop")
PRECISIONS = ("auto", "fp32", "bf16")
WAYS = ("plain", "bf16")
_WORDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "text"}
HELD_OUT = 0.03
"""The share held out to steer a selector that adapts, unless told otherwise."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How steps are taken: stochastic gradient descent with Nesterov momentum; the rate follows the budget.

    `lr` is the peak for batches of `batch`; `warmup` the share of the budget until it; `augment`: "flip" mirrors at
    random, "crop" also shifts by up to an eighth of the side.
    """

    lr: float = 0.1
    batch: int = 128
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warmup: float = 0.1
    decay: str = "cosine"
    augment: str = "none"
    precision: str = "auto"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which examples are trained on: the selector's spec, how its forwards run, and the share of the training split
    that is held out to steer it (0: none; only a selector that adapts uses it)."""

    selector: str = "uniform"
    way: str = "plain"
    refresh_steps: int = 16
    held_out: float = 0.0


@dataclass(frozen=True, slots=True)
class Settings:
    """One run. `budget` is in units: one evaluation forward of one example. `network` is a name of `models.trainable`.

    `label_noise`: that share of the training labels is drawn anew. `labels`: FILE.npz:KEY, labels to train on in place
    of the data set's own.
    """

    data: str
    budget: float
    network: str = "cnn-w16-d2"
    seed: int = 0
    label_noise: float = 0.0
    labels: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    selection: Selection = field(default_factory=Selection)

    def __post_init__(self) -> None:
        wrong = [text for text, bad in _claims(self) if bad]
        if wrong:
            raise TrainError("; ".join(wrong))


def _claims(settings: Settings) -> list[tuple[str, bool]]:
    """Each mistake that there may be, and whether it is there."""
    recipe, selection = settings.recipe, settings.selection
    budget, seed, labels = settings.budget, settings.seed, settings.labels
    lr, momentum, weight_decay = recipe.lr, recipe.momentum, recipe.weight_decay
    refresh_steps = selection.refresh_steps
    shares = {
        "label_noise": settings.label_noise,
        "held_out": selection.held_out,
        "warmup": recipe.warmup,
    }
    return [
        (f"budget must be above 0 units and finite, not {budget}", not 0 < budget < inf),
        (f"seed must be from 0 to 2^63 - 1, not {seed}", not 0 <= seed < 1 << 63),
        (f"labels must be FILE.npz:KEY, not {labels!r}", bool(labels) and ":" not in labels),
        (f"batch must be at least 2, not {recipe.batch}", recipe.batch < 2),
        (f"lr must be above 0 and finite, not {lr}", not 0 < lr < inf),
        (f"momentum must be in [0, 1), not {momentum}", not 0 <= momentum < 1),
        (f"weight_decay must be from 0 to 1, not {weight_decay}", not 0 <= weight_decay <= 1),
        (f"refresh_steps must be at least 1, not {refresh_steps}", refresh_steps < 1),
        *((f"{key} must be in [0, 1), not {n}", not 0 <= n < 1) for key, n in shares.items()),
        _choice("decay", recipe.decay, DECAYS),
        _choice("augment", recipe.augment, AUGMENTATIONS),
        _choice("precision", recipe.precision, PRECISIONS),
        _choice("way", selection.way, WAYS),
    ]


def _choice(key: str, value: str, known: tuple[str, ...]) -> tuple[str, bool]:
    return f"{key} {value!r} is unknown; known: {', '.join(known)}", value not in known


def read(path: Path, given: Mapping[str, Any]) -> Settings:
    """The settings in the TOML file `path`, with what was `given` on the command line in their place.

    Top-level keys are those of Settings, the tables `[recipe]` and `[selection]` those of the parts; `given` uses plain
    keys, as all names differ. Raises TrainError naming the file and every unknown or mistyped key.
    """
    flat, unknown = _flat(path)
    return made({**flat, **given}, str(path), unknown)


def tables(path: Path) -> dict[str, Any]:
    """The TOML file as it is. Raises TrainError where it cannot be read."""
    try:
        return toml_in(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise TrainError(f"{path} cannot be read: {error}") from error


def values(path: Path) -> dict[str, Any]:
    """What the file says of runs, by plain keys, unchecked. Raises TrainError for unknown keys."""
    flat, unknown = _flat(path)
    if unknown:
        raise TrainError(f"{path}: {'; '.join(unknown)}")
    return flat


def _flat(path: Path) -> tuple[dict[str, Any], list[str]]:
    """Values by plain keys, and mistakes; the table `[sidecar]` is not about runs."""
    flat: dict[str, Any] = {}
    unknown: list[str] = []
    for key, value in tables(path).items():
        if key == "sidecar":
            continue
        part = {"recipe": Recipe, "selection": Selection}.get(key)
        entries = value.items() if part and isinstance(value, dict) else [(key, value)]
        for name, entry in entries:
            known = {f.name for f in fields(part or Settings)} - {"recipe", "selection"}
            unknown += [] if name in known else [f"key {name!r} is unknown"]
            flat[name] = entry
    return flat, unknown


def made(
    values: Mapping[str, Any], where: str = "command line", mistakes: Sequence[str] = ()
) -> Settings:
    """Settings from plain keys.

    Raises TrainError for `mistakes` already found, missing keys, values of the wrong type or out of range, all in one.
    """
    wrong = list(mistakes)
    if str(values.get("selector", "")).startswith("adaptive"):
        values = {"held_out": HELD_OUT, **values}
    recipe = _part(Recipe, values, wrong)
    selection = _part(Selection, values, wrong)
    top = _part(Settings, values, wrong)
    whole: dict[str, Any] = {
        "data": "",
        "budget": 1.0,
    } | top  # so that what is there is checked, whatever is missing
    try:
        settings = Settings(**whole, recipe=Recipe(**recipe), selection=Selection(**selection))
    except TrainError as error:
        raise TrainError(f"{where}: {'; '.join([*wrong, str(error)])}") from None
    if wrong:
        raise TrainError(f"{where}: {'; '.join(wrong)}")
    return settings


def _part(part: type, values: Mapping[str, Any], wrong: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in fields(part):
        if entry.name in {"recipe", "selection"}:
            continue
        if entry.name not in values:
            if entry.default is MISSING:
                wrong.append(f"{entry.name} is missing")
            continue
        value = values[entry.name]
        if entry.type is float and type(value) is int:
            value = float(value)
        if type(value) is not entry.type:
            wrong.append(f"{entry.name} must be {_WORDS[entry.type]}, not {value!r}")
            continue
        found[entry.name] = value
    return found
