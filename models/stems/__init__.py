"""Task packages: a base network cut into a shared stem, and the heads of tasks that branch from it."""

from models.artifacts import ArtifactError
from models.stems.cutting import cut
from models.stems.graphs import CutError
from models.stems.hashing import base_of, points_of, stem_hashes
from models.stems.heads import Heads
from models.stems.package import Base, Head, Package, Point, SharedTask
from models.stems.stem import Stem
from models.stems.store import load_package, look_through_packages, publish_package

__all__ = [
    "ArtifactError",
    "Base",
    "CutError",
    "Head",
    "Heads",
    "Package",
    "Point",
    "SharedTask",
    "Stem",
    "base_of",
    "cut",
    "load_package",
    "look_through_packages",
    "points_of",
    "publish_package",
    "stem_hashes",
]
