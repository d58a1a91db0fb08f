"""The options of `gearshift models add` and `quantize`: a model, what is known of it, and rows to measure it with."""

import argparse
from pathlib import Path

_ROWS = (
    "40 rows or more: an .npz file with each input's under its name (and an array `labels` of class numbers), a "
    "folder of JPEG or PNG pictures (folders in it are classes), or a .jsonl file, an object a line (with a key "
    "`label`)"
)


def of_add(action: argparse.ArgumentParser) -> None:
    """Those of `add`."""
    option = action.add_argument
    option(
        "model", type=Path, help="a file (.onnx, .pt2, TorchScript) or a folder with one or more"
    )
    option("--name", default="", help="of the family (default: the file's or folder's)")
    option("--slo-ms", type=float, help="latency bound (default: 4 times one row, at least 10 ms)")
    option("--accuracy", type=float, help="what is known of it, 0 to 1; with --source")
    option("--source", default="", help="how that is known, in words")
    option(
        "--samples",
        type=Path,
        metavar="PATH",
        help=f"{_ROWS}; with labels accuracy is measured on half of them; other precisions are made with them",
    )
    _add_labels(action)
    option(
        "--precisions",
        default="int8,bf16,fp16",
        help="to make where there are samples, comma-separated; empty: none (default: %(default)s)",
    )
    option(
        "--shape",
        action="append",
        default=[],
        metavar="INPUT=N,N",
        help="fix the sizes behind an input's rows that its model leaves free; of TorchScript, say them: INPUT=N,N "
        "(FP32), INPUT=INT64:N, or a name in place of a number for a free one; may be repeated",
    )
    option(
        "--size",
        action="append",
        default=[],
        metavar="NAME=USUAL:MOST",
        help="what is usual of a size that the graph leaves free, and the most that is served (default: what the graph "
        "runs with); may be repeated",
    )


def of_quantize(action: argparse.ArgumentParser) -> None:
    """Those of `quantize`."""
    action.add_argument("family", help="its name in the repository")
    action.add_argument(
        "--calibration",
        type=Path,
        required=True,
        metavar="PATH",
        help=f"{_ROWS}; with labels accuracy is measured; half of the rows are held out",
    )
    _add_labels(action)
    action.add_argument(
        "--precisions", default="int8,bf16,fp16", help="comma-separated (default: %(default)s)"
    )


def _add_labels(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="the rows' classes: a number or name a line, or a .npy array",
    )
    action.add_argument(
        "--normalise",
        default="",
        choices=("zero-one", "imagenet", "none"),
        help="how pixels become values: 0 to 1 (default), less ImageNet's mean by its deviation, or 0 to 255",
    )
