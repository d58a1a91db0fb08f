"""The model repository on disk: one folder per family, its `family.toml` and the artefacts that it names."""

from models.artifacts.manifest import MANIFEST
from models.artifacts.publishing import (
    FamilyExists,
    add_variants,
    create_family,
    publish_family,
    remove_variants,
    replace_variants,
    update_family,
)
from models.artifacts.repository import (
    default_repository,
    family_folders,
    load_family,
    load_repository,
    opening,
    size_of,
    uncovered,
    uncovered_text,
)
from models.artifacts.tables import ArtifactError, is_plain_name

__all__ = [
    "MANIFEST",
    "ArtifactError",
    "FamilyExists",
    "add_variants",
    "create_family",
    "default_repository",
    "family_folders",
    "is_plain_name",
    "load_family",
    "load_repository",
    "opening",
    "publish_family",
    "remove_variants",
    "replace_variants",
    "size_of",
    "uncovered",
    "uncovered_text",
    "update_family",
]
