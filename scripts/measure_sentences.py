"""How near each precision of the family `sentences` is to fp32, and how long a row takes at a few lengths.

    python scripts/measure_sentences.py

Agreement is the cosine of an embedding with fp32's, one sentence a run: all sentences of the documentation that Python
carries with it (pydoc_data, PSF licence), none of which int8 was calibrated with. Times are of one thread, the arms in
turns, and count precisions that are not published, too. Writes sentences.json and sentences.md under --out.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from tqdm import tqdm

from models.artifacts import ArtifactError, default_repository, load_family
from models.build.errors import BuildError
from models.build.narrowing.narrow import narrow
from models.build.narrowing.quantize import quantize_products
from models.build.sentences.corpus import (
    Rows,
    calibration_sentences,
    read_tokenizer,
    row_of,
    running_text,
    sentences_of,
)
from models.build.sentences.encoder import OUTPUT
from models.build.sentences.family import MOST_TOKENS, TOKENIZER, sentences

_Z = 1.96  # two-sided 95 %
_TOKENS = (25, 128, 256)
_TURNS = 100


@dataclass(frozen=True, slots=True)
class Row:
    """One precision: cosines with fp32 on `n` sentences, their mean's 95 % half-width; quickest and middle run (ms)."""

    precision: str
    published: bool
    n: int
    mean: float
    interval: float
    least: float
    quickest_ms: Mapping[int, float]
    middle_ms: Mapping[int, float]


def open_session(path: Path) -> ort.InferenceSession:
    """On one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def embeddings(session: ort.InferenceSession, rows: Sequence[Rows]) -> NDArray[np.float32]:
    """[rows, 384], each row by itself."""
    found: list[Any] = [session.run([OUTPUT], row)[0] for row in tqdm(rows, leave=False)]
    return np.concatenate(found)


def times_ms(
    sessions: Mapping[str, ort.InferenceSession], row: Rows
) -> Mapping[str, NDArray[np.float64]]:
    """Precision -> what each of `_TURNS` runs of this row took; the precisions take turns."""
    taken: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(_TURNS):
        for name, session in sessions.items():
            begun_s = time.perf_counter()
            session.run([OUTPUT], row)
            taken[name].append(1e3 * (time.perf_counter() - begun_s))
    return {name: np.array(found) for name, found in taken.items()}


def measure(folder: Path, work: Path) -> list[Row]:
    """One row for every precision, published first."""
    family = load_family(folder)
    named = [v.name for v in sentences().variants]
    paths = {v.precision: folder / v.artifact for v in family.variants if v.name in named}
    published = set(paths)
    tokenizer = read_tokenizer((folder / TOKENIZER).read_bytes(), MOST_TOKENS)
    full_model = onnx.load(paths["fp32"])
    others = {p: narrow(full_model, p) for p in ("bf16", "fp16")}
    calibration = calibration_sentences(folder.parent.parent / "downloads")
    feeds = (row_of(tokenizer, text) for text in calibration)
    others["int8, every product"] = quantize_products(full_model, feeds, ())
    for precision, model in others.items():
        paths[precision] = work / f"{precision}.onnx"
        onnx.save(model, paths[precision])
    sessions = {precision: open_session(path) for precision, path in paths.items()}
    texts = sentences_of(list(topics.values()))
    rows = [row_of(tokenizer, text) for text in texts]
    taken = {n: times_ms(sessions, running_text(tokenizer, texts, 1, n)) for n in _TOKENS}
    full = embeddings(sessions["fp32"], rows)
    found: list[Row] = []
    for precision, session in sessions.items():
        cosines = np.minimum((embeddings(session, rows) * full).sum(axis=1, dtype=np.float64), 1.0)
        found.append(
            Row(
                precision,
                precision in published,
                len(rows),
                float(cosines.mean()),
                float(_Z * cosines.std(ddof=1) / math.sqrt(len(rows))),
                float(cosines.min()),
                {n: float(t[precision].min()) for n, t in taken.items()},
                {n: float(np.median(t[precision])) for n, t in taken.items()},
            )
        )
    return found


def markdown(rows: Sequence[Row]) -> str:
    """The table for people."""
    lengths = "".join(f" {n} tokens, ms |" for n in _TOKENS)
    head = (
        "# The family `sentences`, precision by precision\n\n"
        "`python scripts/measure_sentences.py`: the cosine of each embedding with fp32's, on the sentences of the\n"
        "documentation that Python carries with it; int8 is calibrated on other text. Times: one row on one thread of\n"
        "ONNX Runtime, the quickest run and, in brackets, the middle one. bf16 and fp16 are not published: ONNX\n"
        "Runtime widens them to fp32 when it loads them. Nor is int8 with every product of weights: the published one\n"
        "leaves two in fp32.\n\n"
        f"| precision | published | n | mean cosine | least |{lengths}\n|---|---|---|---|---|{'---|' * len(_TOKENS)}\n"
    )
    return head + "".join(
        f"| {r.precision} | {'yes' if r.published else 'no'} | {r.n} "
        f"| {r.mean:.4f} ± {r.interval:.4f} | {r.least:.3f} |"
        + "".join(f" {r.quickest_ms[n]:.1f} ({r.middle_ms[n]:.1f}) |" for n in _TOKENS)
        + "\n"
        for r in rows
    )


def main(argv: list[str]) -> int:
    """Measure and write; 2 with one message where the family is not there."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--repository", type=Path, default=default_repository())
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as work:
            rows = measure(arguments.repository / sentences().name, Path(work))
    except (ArtifactError, BuildError, OSError) as error:
        print(f"measure_sentences: {error}; `gearshift models build sentences`", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = json.dumps([asdict(row) for row in rows], indent=1)
    (arguments.out / "sentences.json").write_text(table + "\n", encoding="utf-8")
    (arguments.out / "sentences.md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
