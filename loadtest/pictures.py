"""Photographs to send: from a folder, from the wheels the model builder has downloaded, or else
drawn."""

import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from loadtest.errors import BadOption
from surroundings.folders import cache_folder, expanded
from surroundings.variables import repository

Pixels = NDArray[np.uint8]
_PHOTOGRAPHS = frozenset(
    {"astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "china.jpg", "flower.jpg"}
    | {"motorcycle_left.png", "motorcycle_right.png"}
)  # of all the files those wheels bundle, the colour photographs of everyday things
_SUFFIXES = (".png", ".jpg", ".jpeg")
_SMALLEST_PX = 200  # below this a crop shows texture, not a thing
_MOST_PHOTOGRAPHS = 64  # decoding more only costs start-up time


@dataclass(frozen=True, slots=True)
class Album:
    """Photographs and where they are from, in words for the report. No photographs: pictures are
    drawn."""

    source: str
    photographs: tuple[Image.Image, ...] = ()


def from_folder(folder: Path) -> Album:
    """Every photograph below `folder`. Raises BadOption where there is none."""
    files = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _SUFFIXES)
    found = _decode((path.name, path.read_bytes()) for path in files)
    if not found:
        raise BadOption(
            f"--images {folder}: no colour photograph (jpg, png) of {_SMALLEST_PX} px or more in it"
        )
    return Album(f"{len(found)} photographs from {folder}", found)


def from_cache(downloads: Path | None = None) -> Album:
    """The photographs in the wheels that the model builder downloaded; none where it did not."""
    folder = downloads or _downloads()
    found = _decode(_in_wheels(folder)) if folder.is_dir() else ()
    if not found:
        return Album("drawn pictures (no photographs cached; run `gearshift models build`)")
    return Album(f"{len(found)} photographs bundled with scikit-image and scikit-learn", found)


def _downloads() -> Path:
    """Beside the model repository, where the builder keeps what it fetched."""
    if chosen := repository(os.environ):
        with suppress(OSError):
            return expanded(Path(chosen)).parent / "downloads"
    return cache_folder() / "downloads"


def _in_wheels(folder: Path) -> Iterator[tuple[str, bytes]]:
    for wheel in sorted(folder.glob("scikit_*.whl")):
        try:
            with zipfile.ZipFile(wheel) as archive:
                for name in sorted(archive.namelist()):
                    if Path(name).name in _PHOTOGRAPHS:
                        yield name, archive.read(name)
        except (OSError, zipfile.BadZipFile):
            continue  # a damaged download is the builder's to report


def _decode(files: Iterator[tuple[str, bytes]]) -> tuple[Image.Image, ...]:
    found: list[Image.Image] = []
    for _, content in files:
        try:
            picture = Image.open(io.BytesIO(content))
            if picture.mode != "RGB" or min(picture.size) < _SMALLEST_PX:
                continue
            picture.load()
        except (OSError, UnidentifiedImageError):
            continue
        found.append(picture)
        if len(found) == _MOST_PHOTOGRAPHS:
            break
    return tuple(found)


def crop(album: Album, index: int, size: tuple[int, int], rng: np.random.Generator) -> Pixels:
    """Picture number `index` as pixels [H, W, 3] for `size` = (H, W): a random square crop, or
    drawn."""
    height, width = size
    if not album.photographs:
        return _draw(height, width, rng)
    photograph = album.photographs[index % len(album.photographs)]
    side = int(min(photograph.size) * rng.uniform(0.6, 1.0))
    left = int(rng.integers(0, photograph.width - side + 1))
    top = int(rng.integers(0, photograph.height - side + 1))
    box = (left, top, left + side, top + side)
    return np.asarray(photograph.resize((width, height), Image.Resampling.BICUBIC, box=box))


def _draw(height: int, width: int, rng: np.random.Generator) -> Pixels:
    """Soft waves and a disc per channel: structure at several scales, which plain noise would
    lack."""
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    waves = rng.uniform(0.5, 8.0, (3, 4, 3))
    planes = [
        sum(np.sin(6.3 * (a * x + b * y + c)) for a, b, c in channel) / 4.0 for channel in waves
    ]
    centre_x, centre_y, radius = rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.7), rng.uniform(0.1, 0.3)
    disc = ((x - centre_x) ** 2 + (y - centre_y) ** 2) < radius**2
    picture = np.stack(planes, axis=-1) * 0.5 + 0.5
    picture[disc] = picture[disc] * 0.3 + rng.uniform(0.0, 0.7, 3)
    return (picture * 255.0).clip(0, 255).astype(np.uint8)
