"""The families that Gearshift builds from published weights, by name. A second build finds nothing to do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.artifacts import ArtifactError, load_family
from models.artifacts.digests import sha256_of
from models.artifacts.samples import SAMPLES
from models.build import recipe
from models.build.imagenet import imagenet
from models.build.sentences import recipe as sentences_recipe
from models.build.sentences.family import TOKENIZER, TOKENIZER_SHA256, sentences
from models.catalog import Family

Build = Callable[[Path, Path, recipe.Report], Family]
"""(repository, an empty folder to work in, who hears what begins) -> the family as published. Raises BuildError."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A family's recipe: what comes out, what makes it, how often that reports, and what it costs, in words.

    `extras`: files beside the manifest -> their sha256, "" where any will do.
    """

    wanted: Callable[[], Family]
    build: Build
    steps: int
    cost: str
    extras: Mapping[str, str] = field(default_factory=dict[str, str])


DEFAULT = "imagenet"
EMBEDDED: Mapping[str, Embedded] = {
    DEFAULT: Embedded(
        imagenet, recipe.build, recipe.STEPS, "half a minute and 100 MB of downloads"
    ),
    "sentences": Embedded(
        sentences,
        sentences_recipe.build,
        sentences_recipe.STEPS,
        "half a minute and 90 MB of downloads",
        {TOKENIZER: TOKENIZER_SHA256, SAMPLES: ""},
    ),
}


def is_current(root: Path, embedded: Embedded) -> bool:
    """Whether `root` holds the family of this recipe, every file whole. What its operator added does not count."""
    wanted = embedded.wanted()
    folder = root / wanted.name
    try:
        same = _recipe_of(load_family(folder), wanted) == wanted
        return same and all(_is_there(folder / n, sha) for n, sha in embedded.extras.items())
    except (ArtifactError, OSError):
        return False


def _is_there(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256 in {"", sha256_of(path)}


def _recipe_of(family: Family, wanted: Family) -> Family:
    names = [v.name for v in wanted.variants]
    blank = [
        replace(v, artifact="", sha256="", candidate=False)
        for v in family.variants
        if v.name in names
    ]
    blank.sort(key=lambda v: names.index(v.name))
    return replace(family, variants=tuple(blank), slo=wanted.slo, max_batch=wanted.max_batch)
