"""Profiles of a family whose variants come and go."""

from dataclasses import replace
from pathlib import Path

from models.catalog import Accuracy, Family, Slo, Variant
from profiler.hardware.fingerprint import Hardware
from profiler.profiles import Point, Profile
from server.policy.decision import Arm
from server.runtime.arms.stored_profiles import StoredProfiles

HARDWARE = Hardware("Some CPU", 2, ("avx2",), 16, (), ("onnxruntime 1.31.1",))
ARM = Arm("b", "onnxruntime")


def a_variant(name: str, sha256: str) -> Variant:
    return Variant(name, "fp32", f"{name}.onnx", sha256, Accuracy(0.5, "invented"))


ALONE = Family("tiny", (), (), (a_variant("a", "1" * 64),), Slo(0.05))
BOTH = replace(ALONE, variants=(*ALONE.variants, a_variant("b", "2" * 64)))
ANEW = replace(ALONE, variants=(*ALONE.variants, a_variant("b", "3" * 64)))
PROFILE = Profile("b", "fp32", "onnxruntime", "cpu", 1, (Point(1, 9, 0.01, 0.012, 0.013, 0.0101),))


def a_shelf(folder: Path) -> StoredProfiles:
    stored = StoredProfiles(folder, BOTH, HARDWARE)
    stored.keep(PROFILE)
    return stored


def test_an_artefact_that_comes_back_has_its_profile_still(tmp_path: Path):
    stored = a_shelf(tmp_path)

    stored.adopt(ALONE)
    stored.adopt(BOTH)

    assert stored.find(ARM, 1) == PROFILE


def test_another_artefact_of_the_name_has_none_whether_it_comes_at_once_or_later(tmp_path: Path):
    at_once, later = a_shelf(tmp_path), a_shelf(tmp_path)

    at_once.adopt(ANEW)
    later.adopt(ALONE)
    later.adopt(ANEW)

    assert (at_once.find(ARM, 1), later.find(ARM, 1)) == (None, None)
