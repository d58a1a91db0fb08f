"""BERT's encoder in plain numpy, as its paper has it, and small weights to try it with."""

import math

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[np.generic]]
Floats = NDArray[np.float64]


def random_weights(layers: int = 2, width: int = 32, words: int = 50, most: int = 40) -> State:
    """Weights by their names in BertModel; the pooler's among them, which is not used."""
    rng = np.random.default_rng(3)
    state: State = {"embeddings.position_ids": np.arange(most)[None]}

    def add(name: str, *shape: int) -> None:
        state[f"{name}.weight"] = rng.normal(0, 0.2, shape).astype(np.float32)

    def dense(name: str, given: int, made: int) -> None:
        add(name, made, given)
        state[f"{name}.bias"] = rng.normal(0, 0.2, made).astype(np.float32)

    def norm(name: str) -> None:
        state[f"{name}.weight"] = rng.normal(1, 0.2, width).astype(np.float32)
        state[f"{name}.bias"] = rng.normal(0, 0.2, width).astype(np.float32)

    for name, rows in (("word", words), ("position", most), ("token_type", 2)):
        add(f"embeddings.{name}_embeddings", rows, width)
    norm("embeddings.LayerNorm")
    for base in (f"encoder.layer.{i}" for i in range(layers)):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            dense(f"{base}.attention.{part}", width, width)
        norm(f"{base}.attention.output.LayerNorm")
        dense(f"{base}.intermediate.dense", width, 4 * width)
        dense(f"{base}.output.dense", 4 * width, width)
        norm(f"{base}.output.LayerNorm")
    dense("pooler.dense", width, width)
    return state


def embedding(state: State, heads: int, row: dict[str, NDArray[np.int64]]) -> Floats:
    """Of one row [1, tokens], in double precision: mean over what the mask shows, scaled to length 1, [hidden]."""
    w = {name: value.astype(np.float64) for name, value in state.items()}
    ids, types = row["input_ids"][0], row["token_type_ids"][0]
    shown = row["attention_mask"][0].astype(bool)
    x = w["embeddings.word_embeddings.weight"][ids]
    x = x + w["embeddings.token_type_embeddings.weight"][types]
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]
    x = _normalised(w, "embeddings.LayerNorm", x)
    layers = {name.split(".")[2] for name in w if name.startswith("encoder.")}
    for base in (f"encoder.layer.{i}" for i in sorted(layers, key=int)):
        x = _layer(w, base, x, shown, heads)
    mean = x[shown].mean(axis=0)
    return mean / np.linalg.norm(mean)


def _layer(
    w: dict[str, Floats], base: str, x: Floats, shown: NDArray[np.bool_], heads: int
) -> Floats:
    query, key, value = (
        np.stack(np.split(_dense(w, f"{base}.attention.self.{part}", x), heads, axis=1))
        for part in ("query", "key", "value")
    )
    scores = np.einsum("hqd,hkd->hqk", query, key) / math.sqrt(query.shape[2])
    scores[:, :, ~shown] = -np.inf
    shares = np.exp(scores - scores.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    mixed = np.concatenate(list(shares @ value), axis=1)
    attended = _dense(w, f"{base}.attention.output.dense", mixed)
    x = _normalised(w, f"{base}.attention.output.LayerNorm", x + attended)
    wide = _dense(w, f"{base}.intermediate.dense", x)
    wide = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
    return _normalised(w, f"{base}.output.LayerNorm", x + _dense(w, f"{base}.output.dense", wide))


def _dense(w: dict[str, Floats], name: str, x: Floats) -> Floats:
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def _normalised(w: dict[str, Floats], name: str, x: Floats) -> Floats:
    centred = x - x.mean(axis=1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12)
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]
