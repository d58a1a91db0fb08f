"""One load of the sweep again, adaptive and static variants in alternation: is a gap the policy's or the machine's?"""

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig


def main() -> int:
    """Write benchmarks/results/repeat_point.{json,md}."""
    options = _options()
    names = ["adaptive", *options.variants.split(",")]
    awg: dict[str, list[float]] = {name: [] for name in names}
    with rig.serving("--slo-ms", f"{options.slo_ms}", "--families", "imagenet") as server:
        for turn in range(options.rounds):
            for name in names:
                report = rig.load(
                    server,
                    rate_rps=options.rate,
                    duration_s=options.seconds,
                    warmup_s=3,
                    seed=turn + 1,
                    slo_ms=options.slo_ms,
                    variant=None if name == "adaptive" else name,
                )
                awg[name].append(100 * report["awg"])
                print(name, f"{awg[name][-1]:.2f}", flush=True)
    rows = [
        f"| {name} | {statistics.median(a):.2f} | {min(a):.2f} to {max(a):.2f} |"
        for name, a in awg.items()
    ]
    head = (
        f"# {options.rate:.0f} requests/s again\n\nAwg x 100, {options.rounds} alternating runs of {options.seconds} s "
        f"each, SLO {options.slo_ms} ms, {rig.machine()['cpu']}, {rig.machine()['date']}.\n"
        "Command: `python benchmarks/serving/repeat_point.py "
        f"--rate {options.rate:.0f} --variants {options.variants}`.\n\n"
        "| choice | median | range |\n| --- | --- | --- |\n"
    )
    rig.write("repeat_point", {"machine": rig.machine(), "awg": awg}, head + "\n".join(rows) + "\n")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=264.0)
    parser.add_argument("--variants", default="efficientnet_lite0-int8")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--slo-ms", type=float, default=46.4)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
