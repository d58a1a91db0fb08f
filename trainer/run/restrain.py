"""How much of the machine a training process takes: threads and priority, set before torch counts them."""

import os

from models.backends import require
from trainer.errors import TrainError


def restrain(threads: int, nice: int) -> None:
    """Before torch is imported, which counts threads then. Raises TrainError where it is not installed."""
    if min(threads, nice) < 0:
        raise TrainError("--threads and --nice must not be negative")
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    if threads:
        os.environ["OMP_NUM_THREADS"] = str(threads)
    if nice:
        os.nice(nice)
    try:
        import torch  # noqa: PLC0415 - after the environment says how many threads

        require("onnxruntime")
    except ImportError as error:
        raise TrainError(
            "training needs torch; install the extra: pip install -e '.[train]'"
        ) from error
    except (Exception, SystemExit) as error:
        raise TrainError(f"a library that training needs cannot be imported: {error}") from error
    if threads:
        torch.set_num_threads(threads)
