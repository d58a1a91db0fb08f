"""The processor as `/proc/cpuinfo` tells of it: model and the instruction sets that change what a kernel costs."""

import re
from pathlib import Path

from profiler.hardware.cgroups import text

_KNOWN = """
    avx f16c fma avx2 avx_vnni avx_vnni_int8 avx_ne_convert avx_ifma
    avx512f avx512dq avx512bw avx512vl avx512vbmi avx512_vbmi2 avx512_vnni
    avx512_bf16 avx512_fp16 avx10_1 avx10_2 amx_tile amx_int8 amx_bf16 amx_fp16
    asimd asimdhp asimddp asimdfhm i8mm bf16 sve sve2 svei8mm svebf16
    sme sme2
"""
FLAGS = tuple(_KNOWN.split())
"""Those that ONNX Runtime, OpenVINO (oneDNN) and torch choose their kernels by."""


def processor(root: Path = Path("/")) -> tuple[str, tuple[str, ...]]:
    """Model name with family, model and stepping (clouds hide the rest), and which of FLAGS it has."""
    content = text(root / "proc/cpuinfo")

    def field(pattern: str) -> str:
        found = re.search(rf"^(?:{pattern})\s*:\s*(.*)$", content, re.MULTILINE)
        return found[1].strip() if found else ""

    name = field("model name") or field("CPU implementer") or "unknown"
    numbers = [field(p) for p in ("cpu family|CPU architecture", "model|CPU part", "stepping")]
    have = set(field("flags|Features").split())
    return f"{name} ({'/'.join(n or '-' for n in numbers)})", tuple(f for f in FLAGS if f in have)
