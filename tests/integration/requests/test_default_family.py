"""The real artefacts of the embedded family: they see what is in the picture, and narrow ones see what fp32 sees."""

import numpy as np
import pytest
from PIL import Image

from models.artifacts import ArtifactError, default_repository, load_family
from models.build.pictures import centre_crop, photographs
from models.catalog import Family, Variant
from tests.support.sessions import first_output

pytestmark = pytest.mark.weights

_FOLDER = default_repository() / "imagenet"
_KNOWN = {
    "chelsea": {"tabby", "tiger cat", "Egyptian cat", "lynx"},
    "coffee": {"espresso", "cup", "coffee mug", "eggnog"},
    "motorcycle_left": {"moped", "motor scooter", "disk brake", "crash helmet"},
    "china": {"palace", "stupa", "monastery", "bell cote", "castle"},
}
"""Photograph -> what its label may begin with."""


@pytest.fixture(scope="module")
def family() -> Family:
    try:
        return load_family(_FOLDER)
    except ArtifactError as error:
        pytest.skip(f"the embedded family is not built (`make models`): {error}")


@pytest.fixture(scope="module")
def pictures() -> dict[str, Image.Image]:
    downloads = default_repository().parent / "downloads"
    if not downloads.is_dir():
        pytest.skip(
            f"the bundled photographs are not in {downloads} (`gearshift models build --force`)"
        )
    return photographs(downloads)


@pytest.fixture(scope="module")
def logits(family: Family, pictures: dict[str, Image.Image]) -> dict[str, np.ndarray]:
    """Variant -> [photographs, 1000], all of them in one batch."""
    batch = np.concatenate([centre_crop(p) for p in pictures.values()])
    return {v.name: first_output(_FOLDER / v.artifact, batch) for v in family.variants}


def test_there_are_four_networks_at_four_precisions(family: Family):
    assert [v.precision for v in family.variants] == ["fp32", "bf16", "fp16", "int8"] * 4


def of_its_network(family: Family, variant: Variant) -> Variant:
    """The fp32 variant of the same network."""
    full = family.variant(f"{variant.name.removesuffix(variant.precision)}fp32")
    assert full is not None
    return full


def test_every_variant_recognises_the_known_photographs(
    family: Family, pictures: dict[str, Image.Image], logits: dict[str, np.ndarray]
):
    names = list(pictures)

    for variant, scores in logits.items():
        for photograph, allowed in _KNOWN.items():
            label = family.labels[int(scores[names.index(photograph)].argmax())].split(",")[0]
            assert label in allowed, f"{variant} takes {photograph} for {label}"


def test_narrow_variants_agree_with_fp32(family: Family, logits: dict[str, np.ndarray]):
    least = {"fp32": 1, "fp16": 0.9999, "bf16": 0.999, "int8": 0.97}
    for variant in family.variants:
        reference = logits[of_its_network(family, variant).name]
        correlation = np.corrcoef(logits[variant.name].ravel(), reference.ravel())[0, 1]
        assert correlation > least[variant.precision] - 1e-9, variant.name


def test_sixteen_bit_weights_take_half_the_file(family: Family):
    for variant in family.variants:
        if variant.precision in {"bf16", "fp16"}:
            full = (_FOLDER / of_its_network(family, variant).artifact).stat().st_size
            assert 0.48 * full < (_FOLDER / variant.artifact).stat().st_size < 0.52 * full


def test_a_row_gets_the_same_answer_alone_and_in_a_batch(
    family: Family, pictures: dict[str, Image.Image], logits: dict[str, np.ndarray]
):
    first = centre_crop(next(iter(pictures.values())))

    for variant in family.variants:
        alone = first_output(_FOLDER / variant.artifact, first)
        np.testing.assert_allclose(alone[0], logits[variant.name][0], rtol=1e-2, atol=1e-2)


def test_less_precise_variants_are_not_rated_above_their_network(family: Family):
    for variant in family.variants:
        assert variant.accuracy.value <= of_its_network(family, variant).accuracy.value
