"""A folder of pictures: train/CLASS/* and test/CLASS/*, or only CLASS/*, of which a fifth becomes the test split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from models.artifacts.digests import sha256_of
from trainer.data.dataset import Dataset, Split, split, together
from trainer.data.pictures import Pixels, channels_first, opened, room_for, square
from trainer.data.reading import content_of
from trainer.data.splits import held_out
from trainer.errors import TrainError

_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
_TEST_SHARE = 0.2
_SPLIT_SEED = 0  # fixed: a data set is the same in every run, whatever the run's own seed


@dataclass(frozen=True, slots=True)
class _Form:
    """What every picture is converted to: that of the first, its shorter edge being the side."""

    mode: str
    side: int


def matches(path: Path) -> bool:
    """Whether it has class folders with pictures, or a folder `train` that has."""
    return any(_pictures(c) for root in (path, path / "train") for c in _folders(root))


def read(folder: Path) -> Dataset:
    """The data set in `folder`, its classes in the order of their names. Raises TrainError.

    All pictures become square, as large as the first one's shorter edge (the centre is kept, then resized), and RGB
    unless the first is grey.
    """
    parts = _parts(folder)
    classes = [c.name for c in _folders(parts[0])]
    listings = [_listing(part, classes) for part in parts]
    form = _form_of(listings[0][0][0])
    splits = [
        split(_decoded(paths, form), labels, str(part))
        for part, (paths, labels) in zip(parts, listings, strict=True)
    ]
    train, test = splits if len(splits) == 2 else _cut(splits[0])
    source = f"{folder} (names and bytes of all pictures, sha256 {_digest(folder, listings)})"
    return together(folder.resolve().name, (train, test), classes, source)


def _parts(folder: Path) -> list[Path]:
    if not (folder / "train").is_dir():
        return [folder]
    test = next((folder / n for n in ("test", "val") if (folder / n).is_dir()), None)
    if test is None:
        raise TrainError(f"{folder} has a folder train but none named test; add test/CLASS/*")
    return [folder / "train", test]


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith((".", "__")))


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in _ENDINGS)


def _listing(part: Path, classes: Sequence[str]) -> tuple[list[Path], NDArray[np.int64]]:
    found = _folders(part)
    if not found:
        raise TrainError(f"{part} has no class folders; put each class's pictures into its own")
    if unknown := [c.name for c in found if c.name not in classes]:
        raise TrainError(
            f"{part} has classes that the training split has not: {', '.join(unknown)}; remove them or add them there"
        )
    pictures = [_pictures(c) for c in found]
    if bare := [c.name for c, paths in zip(found, pictures, strict=True) if not paths]:
        raise TrainError(
            f"{part}: no pictures ({', '.join(_ENDINGS)}) in {', '.join(bare)}; add some or remove the folder"
        )
    labels = np.repeat([classes.index(c.name) for c in found], [len(p) for p in pictures])
    return [path for paths in pictures for path in paths], labels


def _form_of(path: Path) -> _Form:
    picture = opened(content_of(path), str(path))
    return _Form(picture.mode, min(picture.size))


def _decoded(paths: Sequence[Path], form: _Form) -> Pixels:
    channels = 1 if form.mode == "L" else 3
    root = paths[0].parents[1]
    images = room_for(len(paths), (channels, form.side, form.side), str(root))
    for index, path in enumerate(tqdm(paths, f"decoding {root.name}", leave=False, disable=None)):
        picture = opened(content_of(path), str(path)).convert(form.mode)
        images[index] = channels_first(square(picture, form.side))
    return images


def _digest(folder: Path, listings: Sequence[tuple[Sequence[Path], object]]) -> str:
    digest = hashlib.sha256()
    for path in (path for paths, _ in listings for path in paths):
        digest.update(f"{path.relative_to(folder)} {sha256_of(path)}\n".encode())
    return digest.hexdigest()


def _cut(whole: Split) -> tuple[Split, Split]:
    kept, held = held_out(whole.labels, _TEST_SHARE, np.random.default_rng(_SPLIT_SEED))
    train, test = (Split(whole.images[part], whole.labels[part]) for part in (kept, held))
    if not len(test.labels):
        raise TrainError(
            f"{len(whole.labels)} pictures are too few to hold a fifth of them out as test split; add pictures"
        )
    return train, test
