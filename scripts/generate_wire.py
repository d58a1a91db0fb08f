"""Generate server/rpc/wire from proto/, in a descriptor pool of its own: a process may import tritonclient too."""

import argparse
import sys
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
MODULE = "server/rpc/wire/inference_pb2.py"


def generate(out: Path) -> None:
    """Write inference_pb2.py and its stub below `out`. Raises RuntimeError where protoc refuses the contract."""
    code = protoc.main(
        ["protoc", f"-Iserver/rpc/wire={ROOT / 'proto'}", f"--python_out={out}", f"--pyi_out={out}",
         "server/rpc/wire/inference.proto"]
    )  # fmt: skip
    if code:
        raise RuntimeError(f"protoc ended with {code}: see its message above")
    module = out / MODULE
    shared = "_descriptor_pool.Default()"
    text = module.read_text()
    if text.count(shared) != 1:
        raise RuntimeError(
            f"{module}: expected one {shared}; the generator has changed, adapt this script"
        )
    module.write_text(text.replace(shared, "_descriptor_pool.DescriptorPool()"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    generate(parser.parse_args().out)
    sys.exit(0)
