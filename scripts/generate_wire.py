"""Generate wire from proto/, in a descriptor pool of its own: a process may import tritonclient too."""

import argparse
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "wire"
CONTRACTS = ("control", "inference", "tasks")
_OURS = {
    "from google.protobuf import descriptor_pool as _descriptor_pool\n": "from wire import POOL as _POOL\n",
    "_descriptor_pool.Default()": "_POOL",
}
"""What the generator writes -> what makes the module use the package's own pool."""


def generate(out: Path) -> None:
    """Write each contract's module and stub below `out`. Raises RuntimeError where protoc refuses one."""
    options = [f"-I{PACKAGE}={ROOT / 'proto'}", f"--python_out={out}", f"--pyi_out={out}"]
    code = protoc.main(["protoc", *options, *(f"{PACKAGE}/{name}.proto" for name in CONTRACTS)])
    if code:
        raise RuntimeError(f"protoc ended with {code}: see its message above")
    for name in CONTRACTS:
        _make_private(out / PACKAGE / f"{name}_pb2.py")


def _make_private(module: Path) -> None:
    text = module.read_text()
    for theirs, ours in _OURS.items():
        if text.count(theirs) != 1:
            raise RuntimeError(
                f"{module}: expected one {theirs!r}; the generator has changed, adapt this script"
            )
        text = text.replace(theirs, ours)
    module.write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    generate(parser.parse_args().out)
    sys.exit(0)
