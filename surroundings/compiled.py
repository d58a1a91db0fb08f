"""Compiled modules in place of their sources: only those made of exactly the sources that are there.

`python -m native.policy.build` makes them. They are found by a finder ahead of Python's own, which looks at the sources
once, when the first of them is imported: where one has changed, or another Python runs, all are left alone.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "policy"
MANIFEST = "made_of.json"
PACKAGE = "server.policy."
"""Modules of other packages are not looked for."""
GROUP = "__mypyc"
"""The end of the name of the library that holds what the modules share."""


class CompiledFinder(MetaPathFinder):
    """Finds the modules compiled into `folder` of the sources below `root`."""

    def __init__(self, folder: Path = FOLDER, root: Path = ROOT) -> None:
        self._folder, self._root = folder, root
        self._modules: Mapping[str, str] | None = None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """Where the module's library is; None where there is none that may be used."""
        del path, target
        if not fullname.startswith(PACKAGE) and not fullname.endswith(GROUP):
            return None
        if self._modules is None:
            self._modules = usable(self._folder, self._root)
        library = self._modules.get(fullname)
        return (
            None if library is None else spec_from_file_location(fullname, self._folder / library)
        )


def usable(folder: Path, root: Path) -> Mapping[str, str]:
    """The libraries in `folder` by module; none where a source below `root` is not what they were made of."""
    try:
        made: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        current = all(digest(root / name) == was for name, was in made["sources"].items())
    except (OSError, ValueError, KeyError):
        return {}
    return made["modules"] if current and made["python"] == sys.implementation.cache_tag else {}


def digest(path: Path) -> str:
    """The sha256 of a file. Raises OSError."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def prefer_compiled() -> None:
    """From now on compiled modules are imported where there are any; once is enough."""
    if not any(isinstance(one, CompiledFinder) for one in sys.meta_path):
        sys.meta_path.insert(0, CompiledFinder())


def is_compiled(module: ModuleType) -> bool:
    """Whether it is one of these."""
    return not str(module.__file__).endswith(".py")
