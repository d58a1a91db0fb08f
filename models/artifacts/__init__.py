"""The model repository on disk: one folder per family, its `family.toml` and the artefacts that it names."""

from models.artifacts.changing import change_family, folder_of, read_present, remove_variants
from models.artifacts.manifest import MANIFEST
from models.artifacts.publishing import (
    FamilyExists,
    add_variants,
    create_family,
    foreign_variants,
    publish_family,
    replace_variants,
    update_family,
)
from models.artifacts.repository import (
    Found,
    default_repository,
    family_names,
    load_family,
    look_through,
    odd_precision,
    opening,
    printable,
    size_of,
    uncovered,
    uncovered_text,
)
from models.artifacts.tables import ArtifactError, is_plain_name

__all__ = [
    "MANIFEST",
    "ArtifactError",
    "FamilyExists",
    "Found",
    "add_variants",
    "change_family",
    "create_family",
    "default_repository",
    "family_names",
    "folder_of",
    "foreign_variants",
    "is_plain_name",
    "load_family",
    "look_through",
    "odd_precision",
    "opening",
    "printable",
    "publish_family",
    "read_present",
    "remove_variants",
    "replace_variants",
    "size_of",
    "uncovered",
    "uncovered_text",
    "update_family",
]
