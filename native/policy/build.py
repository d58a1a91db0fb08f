"""Compile the policy's hot modules with mypyc: `python -m native.policy.build`; `--remove` goes back to the sources.

The same files run as Python where this was not done. What is built is kept outside of the source folders, with the
sha256 of every source it was made of; `surroundings/compiled.py` uses it only where all of them are still the same.
It needs a C compiler, and mypy, which brings mypyc. What is compiled holds no value that is sent to another process.
"""

import argparse
import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

from surroundings.compiled import FOLDER, MANIFEST, ROOT, digest

SOURCES = "server/policy"
"""What the compiler sees; a change of any of it makes what was built stale."""
SEEN = ("decision.py", "dispatch", "queueing/tickets.py")
LEFT_OUT = frozenset({"__init__", "decision", "explain", "static", "tickets", "tuning"})
"""Not worth it, or values that are sent to other processes; compiled, a class of `collections.abc`'s takes any list for
one of its own (`isinstance`)."""


def main(argv: list[str]) -> int:
    """0 where it was built, 1 with one line on stderr where it could not be."""
    parser = argparse.ArgumentParser(prog="python -m native.policy.build", description=__doc__)
    parser.add_argument("--remove", action="store_true", help="remove what was built")
    if parser.parse_args(argv).remove:
        shutil.rmtree(FOLDER, ignore_errors=True)
        return 0
    if find_spec("mypyc") is None:
        sys.stderr.write("mypyc is missing; install it: python -m pip install mypy setuptools\n")
        return 1
    made_of = {
        name: digest(ROOT / name) for name in sources()
    }  # as they are now: they may be edited meanwhile
    with TemporaryDirectory() as scratch:
        found = compiled(Path(scratch), [name for name in made_of if is_hot(name)])
        if found is None:
            return 1
        keep(Path(scratch), found, made_of)
    sys.stdout.write(f"compiled {len(found) - 1} modules of the policy into {FOLDER}\n")
    return 0


def sources() -> list[str]:
    """Paths of all files seen, from the root."""
    tops = [ROOT / SOURCES / name for name in SEEN]
    files = [f for top in tops for f in (sorted(top.rglob("*.py")) if top.is_dir() else [top])]
    return [str(f.relative_to(ROOT)) for f in files]


def is_hot(source: str) -> bool:
    """Whether a file is to be compiled."""
    return Path(source).stem not in LEFT_OUT


def compiled(scratch: Path, hot: list[str]) -> list[Path] | None:
    """The libraries that the compiler made of these in `scratch`; None, with its words on stderr, where it failed."""
    shutil.copytree(ROOT / SOURCES, scratch / SOURCES)
    shutil.copy(ROOT / "server" / "__init__.py", scratch / "server")
    options = ["--ignore-missing-imports", "--follow-imports=silent"]
    command = [sys.executable, "-m", "mypyc", *options, *hot]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"the policy could not be compiled:\n{done.stdout}{done.stderr}\n")
        return None
    shutil.rmtree(scratch / "build")
    return sorted(scratch.rglob("*.so")) + sorted(scratch.rglob("*.pyd"))


def keep(scratch: Path, libraries: list[Path], made_of: dict[str, str]) -> None:
    """Put them in place of what was built before, all or nothing."""
    fresh = FOLDER.with_suffix(".new")
    shutil.rmtree(fresh, ignore_errors=True)
    modules: dict[str, str] = {}
    for library in libraries:
        path = library.relative_to(scratch)
        (fresh / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, fresh / path)
        modules[".".join([*path.parent.parts, path.name.partition(".")[0]])] = str(path)
    manifest = {"python": sys.implementation.cache_tag, "sources": made_of, "modules": modules}
    (fresh / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    shutil.rmtree(FOLDER, ignore_errors=True)
    fresh.rename(FOLDER)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
