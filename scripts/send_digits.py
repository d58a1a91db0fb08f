"""Sends scikit-learn's digits to a running server and tells who answers: real rows, for a candidate to be tried on.

python scripts/send_digits.py [--url localhost:8001] [--family digits] [--rate-rps 50] [--duration-s 120]
"""

import argparse
import time
from collections import Counter

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
import tritonclient.grpc as triton
from sklearn.datasets import load_digits
from tritonclient.utils import InferenceServerException


def main() -> None:
    """One request of one row at a time, at a steady rate; a line when a variant first answers, and a sum."""
    options = _options()
    pixels = load_digits().data.reshape(-1, 1, 1, 8, 8).astype(np.float32) * np.float32(255 / 16)
    client = triton.InferenceServerClient(options.url)
    answered: Counter[str] = Counter()
    begun_s = time.monotonic()
    for number in range(round(options.rate_rps * options.duration_s)):
        time.sleep(max(0.0, begun_s + number / options.rate_rps - time.monotonic()))
        variant = _asked(client, options.family, pixels[number % len(pixels)])
        if variant not in answered:
            print(f"{time.monotonic() - begun_s:6.1f} s  {variant}", flush=True)
        answered[variant] += 1
    print(", ".join(f"{variant}: {count}" for variant, count in answered.most_common()))


def _asked(client: triton.InferenceServerClient, family: str, image: np.ndarray) -> str:
    """The variant that answered, or that the request was refused."""
    given = triton.InferInput("images", image.shape, "FP32")
    given.set_data_from_numpy(image)
    try:
        answer = client.infer(family, [given]).get_response()
    except InferenceServerException as refusal:
        return f"refused ({refusal.status()})"
    return answer.parameters["variant"].string_param


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="localhost:8001")
    parser.add_argument("--family", default="digits")
    parser.add_argument("--rate-rps", type=float, default=50.0)
    parser.add_argument("--duration-s", type=float, default=120.0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
