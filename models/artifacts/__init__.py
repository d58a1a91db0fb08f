"""The model repository on disk: one folder per family, its `family.toml` and the artefacts that it names."""

from models.artifacts.manifest import MANIFEST, ArtifactError
from models.artifacts.repository import (
    default_repository,
    load_family,
    load_repository,
    publish_family,
    size_of,
)

__all__ = [
    "MANIFEST",
    "ArtifactError",
    "default_repository",
    "load_family",
    "load_repository",
    "publish_family",
    "size_of",
]
