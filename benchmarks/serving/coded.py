"""Rows given as bytes: what a JPEG or PNG saves on the wire and costs to decode, and what a text's tokens cost.

Pictures are the photographs that `gearshift models build` downloads, cut to what the embedded family takes (260 x 260)
as a client would, or sent whole; texts are sentences of Python's own documentation. Decoding is timed alone, on one
thread: runs of all kinds in turns, the median counts, and the shortest is given beside it.

    python benchmarks/serving/coded.py [--rounds 30]
"""

import argparse
import io
import shlex
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
from PIL import Image

from benchmarks import rig, tables
from models.artifacts import ArtifactError, default_repository, load_family
from models.build.imagenet import imagenet
from models.build.pictures import photographs
from models.catalog import CodedInput
from models.coded import Decoder
from models.coded.opening import open_decoder
from models.coded.pictures import Pictures

QUALITY = 90
SIDE = 260
RAW_BYTES = SIDE * SIDE * 3


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to send rows: what it is called, the rows, what decodes them."""

    name: str
    rows: Sequence[bytes]
    decoder: Decoder


def main() -> int:
    """Measure, write benchmarks/results/coded.{json,md}."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=30)
    given = parser.parse_args()
    kinds = [*pictures(), *texts()]
    took_s: dict[str, list[float]] = {kind.name: [] for kind in kinds}
    for _ in range(given.rounds):
        for kind in kinds:
            took_s[kind.name].append(decoding_s(kind))
    result = {
        "command": shlex.join(["python", *sys.argv]),
        "machine": rig.machine(),
        "rows": [row(kind, took_s[kind.name]) for kind in kinds],
    }
    rig.write("coded", result, markdown(result))
    return 0


def markdown(result: dict[str, Any]) -> str:
    """Bytes and milliseconds a row."""
    heads = ("sent as", "bytes a row", f"of {SIDE} x {SIDE} raw", "ms a row", "quickest ms")
    return "\n".join(
        [
            "# Rows given as bytes\n",
            f"Decoded on one thread, {result['machine']['cpu']}. `{result['command']}`\n",
            *tables.lines(heads, result["rows"]),
            "",
        ]
    )


def pictures() -> list[Kind]:
    """Photographs cut by the client and whole, as JPEG and as PNG."""
    found = photographs(default_repository().parent / "downloads").values()
    cut = [one.resize((SIDE, SIDE), box=(0, 0, min(one.size), min(one.size))) for one in found]
    decoder = Pictures(imagenet(), CodedInput("jpeg", "picture", 1 << 24, input="image"))
    return [
        Kind(f"{kind}, {what}", [encoded(p, kind) for p in some], decoder)
        for what, some in ((f"{SIDE} x {SIDE}", cut), ("whole photographs", list(found)))
        for kind in ("JPEG", "PNG")
    ]


def texts() -> list[Kind]:
    """Sentences, where the family that takes them has been built."""
    folder = default_repository() / "sentences"
    try:
        family = load_family(folder)
    except ArtifactError:
        print(
            "no family sentences: texts are left out; `gearshift models build sentences` makes it"
        )
        return []
    words = " ".join(topics["assignment"].split()).split(". ")
    rows = [one.encode() for one in words if 20 < len(one) < 400]
    (coded,) = family.coded
    return [Kind("text, a sentence", rows, open_decoder(folder, family, coded))]


def encoded(picture: Image.Image, kind: str) -> bytes:
    """As a client sends it."""
    out = io.BytesIO()
    picture.save(out, kind, quality=QUALITY)
    return out.getvalue()


def decoding_s(kind: Kind) -> float:
    """How long a row takes (s), one after the other."""
    begun_s = time.perf_counter()
    for one in kind.rows:
        kind.decoder.decode([one])
    return (time.perf_counter() - begun_s) / len(kind.rows)


def row(kind: Kind, took_s: Sequence[float]) -> tuple[str, ...]:
    """What the table says of it."""
    size = statistics.mean(len(one) for one in kind.rows)
    share = f"{size / RAW_BYTES:.2f}" if isinstance(kind.decoder, Pictures) else ""
    median, least = statistics.median(took_s), min(took_s)
    return kind.name, f"{size:.0f}", share, f"{1e3 * median:.3f}", f"{1e3 * least:.3f}"


if __name__ == "__main__":
    sys.exit(main())
