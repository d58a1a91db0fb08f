"""Builds the native front (native/front) where a C++ compiler and nghttp2 are; the package does without it too."""

from hashlib import sha256
from pathlib import Path

from setuptools import Extension, setup

FOLDER = Path("native/front")
PARTS = ("plain", "guests", "connection", "core", "module")


def sources_sha256() -> str:
    """Of all that the extension is made of: a test holds what is built to what is there."""
    found = sha256()
    for path in sorted([*FOLDER.glob("*.cc"), *FOLDER.glob("*.h")]):
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


setup(
    ext_modules=[
        Extension(
            "server.rpc.transport.native._core",
            [str(FOLDER / f"{part}.cc") for part in PARTS],
            depends=[str(path) for path in FOLDER.glob("*.h")],
            define_macros=[("FRONT_SHA256", f'"{sources_sha256()}"')],
            extra_compile_args=["-std=c++17", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"],
            libraries=["nghttp2"],
            py_limited_api=True,
            optional=True,
        )
    ],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
