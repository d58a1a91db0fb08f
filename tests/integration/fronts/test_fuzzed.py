"""What fuzzing has found to reach the native front's code goes through it once more, under sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.fronts import skip_unbuilt

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.timeout(600)
def test_the_kept_corpus_runs_clean(tmp_path: Path):
    skip_unbuilt()
    if shutil.which("c++") is None:
        pytest.skip("no C++ compiler here")
    environment = {**os.environ, "FUZZ_BUILD": str(tmp_path)}

    done = subprocess.run(
        [ROOT / "scripts" / "fuzz.sh", "replay"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=590,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert "inputs replayed" in done.stdout
