"""Write Grafana's dashboards in deploy/grafana/dashboards/ anew from scripts/dashboards/."""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from scripts.dashboards import changes, machine, serving, tasks
from scripts.dashboards.parts import built

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("deploy/grafana/dashboards")
BOARDS = (serving.BOARD, machine.BOARD, changes.BOARD, tasks.BOARD)


def files() -> dict[str, str]:
    """Name of the file -> its text."""
    return {
        f"{board.uid}.json": json.dumps(built(board), cls=JSONEncoder, indent=2, sort_keys=True)
        + "\n"
        for board in BOARDS
    }


def main() -> int:
    """Write them below --out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT)
    folder = parser.parse_args().out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
