"""BERT's encoder as an ONNX graph, node by node: token ids in, one embedding of length 1 a row out.

The weights say how many layers there are and how wide they are; key names are those of BertModel in transformers. The
operators are in the order in which ONNX Runtime finds them and fuses normalisation, GELU and attention.
"""

import math
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.build.checkpoints import StateDict
from models.build.errors import BuildError
from models.build.graphs import Array, Graph

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "embedding"
TOKENS = "tokens"
"""What the free size behind the rows is called."""

_EPSILON = 1e-12  # of layer normalisation, as BERT was trained
_HIDDEN_SCORE = -10000.0  # added to scores of tokens that the mask hides: exp() of it is 0
_LEAST_LOOKED_AT = (
    1e-9  # a row that is hidden as a whole is divided by this, as sentence-transformers does
)
_LEAST_LENGTH = 1e-12  # and so is an embedding of length 0, as torch's normalize does
_WORDS = "embeddings.word_embeddings.weight"
_UNUSED = ("embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


def build_encoder(state: StateDict, heads: int) -> onnx.ModelProto:
    """`INPUTS`, INT64 [N, tokens], -> `embedding` FP32 [N, hidden], of length 1. Raises BuildError.

    It is the mean over the tokens that the mask shows; `heads` divides the hidden size.
    """
    left = {name: value for name, value in state.items() if name not in _UNUSED}
    encoder = _Encoder(left, heads, _width(left))
    hidden = encoder.embedded()
    layers = 1 + max((int(k.split(".")[2]) for k in left if k.startswith("encoder.")), default=-1)
    for layer in range(layers):
        hidden = encoder.layer(hidden, f"encoder.layer.{layer}")
    encoder.pooled(hidden)
    if left:
        raise BuildError(f"the weights have tensors unknown here: {sorted(left)[:3]}")
    sources = [helper.make_tensor_value_info(n, TensorProto.INT64, ["N", TOKENS]) for n in INPUTS]
    target = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", encoder.width])
    return encoder.graph.model("encoder", sources[0], target, *sources[1:])


def _width(state: StateDict) -> int:
    """The hidden size."""
    table = state.get(_WORDS)
    if table is None or table.ndim != 2:
        raise BuildError(f"the weights lack {_WORDS}; they belong to another network")
    return int(table.shape[1])


@dataclass(slots=True)
class _Encoder:
    """The graph under construction; `left` are the weights that are not in it yet."""

    left: StateDict
    heads: int
    width: int
    graph: Graph = field(default_factory=Graph)

    def embedded(self) -> str:
        """Word, position and type of every token, summed and normalised: [N, tokens, hidden]."""
        graph, base = self.graph, "embeddings"
        words = self._weight(_WORDS)
        types = self._weight(f"{base}.token_type_embeddings.weight")
        table = self._weight(f"{base}.position_embeddings.weight")
        tokens = graph.node("Shape", [INPUTS[0]], TOKENS, start=1, end=2)
        bounds = [self._wholes("begin", 0), tokens, self._wholes("begin", 0)]
        places = graph.node("Slice", [table, *bounds], f"{base}.positions")
        found = graph.node("Gather", [words, INPUTS[0]], f"{base}.words")
        kinds = graph.node("Gather", [types, INPUTS[2]], f"{base}.types")
        typed = graph.node("Add", [found, kinds], f"{base}.typed")
        return self._normalised(typed, places, f"{base}.LayerNorm")

    def layer(self, hidden: str, base: str) -> str:
        """Self-attention, then two dense layers with GELU between; each is added to what it was given."""
        attended = self._attended(hidden, f"{base}.attention.self")
        mixed = self._dense(attended, f"{base}.attention.output.dense")
        hidden = self._normalised(mixed, hidden, f"{base}.attention.output.LayerNorm")
        wide = self._gelu(self._dense(hidden, f"{base}.intermediate.dense"))
        narrow = self._dense(wide, f"{base}.output.dense")
        return self._normalised(narrow, hidden, f"{base}.output.LayerNorm")

    def pooled(self, hidden: str) -> None:
        """The mean over the tokens that the mask shows, scaled to length 1: [N, hidden]."""
        graph = self.graph
        mask = graph.node("Cast", [INPUTS[1]], "mask", to=TensorProto.FLOAT)
        last, first = self._wholes("last", -1), self._wholes("first", 1)
        weights = graph.node("Unsqueeze", [mask, last], "mask.weights")
        shown = graph.node("Mul", [hidden, weights], "shown")
        total = graph.node("ReduceSum", [shown, first], "shown.sum", keepdims=0)
        count = graph.node("ReduceSum", [mask, first], "mask.sum", keepdims=1)
        least = self._float("least_looked_at", _LEAST_LOOKED_AT)
        mean = graph.node("Div", [total, graph.node("Max", [count, least], "count")], "mean")
        length = graph.node("ReduceL2", [mean], "mean.length", axes=[1], keepdims=1)
        shortest = self._float("least_length", _LEAST_LENGTH)
        graph.node("Div", [mean, graph.node("Max", [length, shortest], "length")], OUTPUT)

    def _attended(self, hidden: str, base: str) -> str:
        graph, size = self.graph, self.width // self.heads
        query = self._split(hidden, f"{base}.query", [0, 2, 1, 3])
        key = self._split(hidden, f"{base}.key", [0, 2, 3, 1])
        value = self._split(hidden, f"{base}.value", [0, 2, 1, 3])
        scores = graph.node("MatMul", [query, key], f"{base}.products")
        root = self._float("root", math.sqrt(size))
        scores = graph.node("Div", [scores, root], f"{base}.scores")
        seen = graph.node("Add", [scores, self._hidden_scores()], f"{base}.masked")
        shares = graph.node("Softmax", [seen], f"{base}.shares", axis=-1)
        mixed = graph.node("MatMul", [shares, value], f"{base}.mixed")
        turned = graph.node("Transpose", [mixed], f"{base}.turned", perm=[0, 2, 1, 3])
        whole = self._wholes("whole", 0, 0, self.width)
        return graph.node("Reshape", [turned, whole], f"{base}.joined")

    def _split(self, hidden: str, base: str, turned: list[int]) -> str:
        """A dense layer's output by heads: [N, heads, tokens, size], its axes as `turned` says."""
        by_heads = self._wholes("by_heads", 0, 0, self.heads, self.width // self.heads)
        split = self.graph.node("Reshape", [self._dense(hidden, base), by_heads], f"{base}.heads")
        return self.graph.node("Transpose", [split], f"{base}.turned", perm=turned)

    def _hidden_scores(self) -> str:
        """[N, 1, 1, tokens]: 0 where the mask is 1, very low where it is 0; the same for every layer."""
        graph, added = self.graph, "mask.scores"
        if not any(node.output[0] == added for node in graph.nodes):
            by_heads = graph.node("Unsqueeze", [INPUTS[1], self._wholes("first", 1)], "mask.heads")
            both = graph.node("Unsqueeze", [by_heads, self._wholes("second", 2)], "mask.queries")
            shown = graph.node("Cast", [both], "mask.shown", to=TensorProto.FLOAT)
            hidden = graph.node("Sub", [self._float("one", 1), shown], "mask.hidden")
            graph.node("Mul", [hidden, self._float("hidden_score", _HIDDEN_SCORE)], added)
        return added

    def _dense(self, tensor: str, base: str) -> str:
        weight, bias = self._take(f"{base}.weight"), self._weight(f"{base}.bias")
        product = self.graph.node(
            "MatMul", [tensor, self.graph.constant(f"{base}.weight", weight.T)], f"{base}.product"
        )
        return self.graph.node("Add", [product, bias], base)

    def _gelu(self, tensor: str) -> str:
        """x / 2 * (1 + erf(x / sqrt 2))."""
        graph = self.graph
        part = graph.node("Div", [tensor, self._float("root_two", math.sqrt(2))], f"{tensor}.part")
        bent = graph.node("Erf", [part], f"{tensor}.erf")
        raised = graph.node("Add", [bent, self._float("one", 1)], f"{tensor}.raised")
        product = graph.node("Mul", [tensor, raised], f"{tensor}.doubled")
        return graph.node("Mul", [product, self._float("half", 0.5)], f"{tensor}.gelu")

    def _normalised(self, tensor: str, other: str, base: str) -> str:
        """The sum of the two, normalised over its last axis."""
        summed = self.graph.node("Add", [tensor, other], f"{base}.sum")
        inputs = [summed, self._weight(f"{base}.weight"), self._weight(f"{base}.bias")]
        return self.graph.node("LayerNormalization", inputs, base, axis=-1, epsilon=_EPSILON)

    def _wholes(self, name: str, *values: int) -> str:
        return self.graph.shared(name, np.array(values, np.int64))

    def _float(self, name: str, value: float) -> str:
        return self.graph.shared(name, np.array(value, np.float32))

    def _weight(self, key: str) -> str:
        return self.graph.constant(key, self._take(key))

    def _take(self, key: str) -> Array:
        if key not in self.left:
            raise BuildError(f"the weights lack {key}; they belong to another network")
        return cast("Array", self.left.pop(key))
