"""Data sets: whatever a source is, `load` makes it images and labels in memory, checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from surroundings.folders import expanded
from trainer.data import cifar, digits, folders, idx, jpegs, npz
from trainer.data.dataset import Dataset, Split, pixel_statistics
from trainer.data.download import default_cache, fetch
from trainer.errors import TrainError

__all__ = ["KINDS", "Dataset", "Split", "load", "pixel_statistics"]


@dataclass(frozen=True, slots=True)
class _Format:
    matches: Callable[[Path], bool]
    read: Callable[[Path], Dataset]
    look: str


_FORMATS: Mapping[str, _Format] = {
    "idx": _Format(idx.matches, idx.read, "train-images-idx3-ubyte[.gz] and its three siblings"),
    "cifar10": _Format(cifar.matches, cifar.read, "data_batch_1 to data_batch_5 and test_batch"),
    "npz": _Format(npz.matches, npz.read, "one .npz file with xtr ytr xte yte"),
    "jpegs": _Format(jpegs.matches, jpegs.read, "train.npz and test.npz with jpeg offset label"),
    "folders": _Format(folders.matches, folders.read, "train/CLASS/* and test/CLASS/*, or CLASS/*"),
}
"""Asked in this order."""

KINDS = tuple(_FORMATS)

_DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")


def load(source: str | Path, *, kind: str | None = None) -> Dataset:
    """The data set at `source`. Raises TrainError, which says what is wrong where and what to do.

    A source is a folder or file in one of the formats KINDS (recognised by what is there unless `kind` says which), an
    address https://...#sha256=... or file://...#sha256=... of an archive of such, or one of the words `digits`
    (scikit-learn's) and `fashion-mnist` (from the Debian package). `./digits` is a folder of that name.
    """
    if source == "digits":
        return digits.read()
    if source == "fashion-mnist":
        return idx.read(_installed_fashion())
    if isinstance(source, str) and "://" in source:
        found = _read(fetch(source, default_cache()), kind)
        return replace(found, source=source)
    return _read(_expanded(source), kind)


def _expanded(source: str | Path) -> Path:
    try:
        return expanded(Path(source))
    except OSError as error:
        raise TrainError(f"{source}: {error.strerror}") from error


def _installed_fashion() -> Path:
    if not _DEBIAN_FASHION.is_dir():
        raise TrainError(
            f"fashion-mnist is looked for in {_DEBIAN_FASHION}, which is not there; install the Debian package "
            "dataset-fashion-mnist, or give the folder that has its four IDX files"
        )
    return _DEBIAN_FASHION


def _read(path: Path, kind: str | None) -> Dataset:
    if not path.exists():
        raise TrainError(
            f"{path} does not exist; give a folder or file with a data set, or `digits`"
        )
    if kind is not None and kind not in _FORMATS:
        raise TrainError(f"kind {kind!r} is unknown; there are {', '.join(KINDS)}")
    try:
        place, found = _recognised(path) if kind is None else (path, _FORMATS[kind])
        return found.read(place)
    except OSError as error:
        raise TrainError(f"{path} cannot be read: {error}; check its permissions") from error


def _recognised(path: Path) -> tuple[Path, _Format]:
    """The format and where it begins: folders with a single entry are looked into."""
    place = path
    while True:
        for known in _FORMATS.values():
            if known.matches(place):
                return place, known
        inside = (
            [p for p in place.iterdir() if not p.name.startswith(".")] if place.is_dir() else []
        )
        if len(inside) != 1:
            break
        place = inside[0]
    looks = "; ".join(f"{name}: {known.look}" for name, known in _FORMATS.items())
    raise TrainError(
        f"{path} holds no data set that is known ({looks}); convert it to one of these"
    )
