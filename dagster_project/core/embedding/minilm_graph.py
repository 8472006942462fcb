"""The encoder of all-MiniLM-L6-v2 as an ONNX graph, made from its weights without torch.

BERT as in Devlin et al. 2019 (arXiv:1810.04805), with the operators that ONNX Runtime has for it:
https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[np.float32]
DIMENSION = 384
_LAYERS = 6
_HEADS = 12
_EPSILON = 1e-12
_RUNTIME = "com.microsoft"


def encoder_graph(weights: dict[str, Array], *, int8: bool) -> bytes:
    """The graph, serialized: ``embedded`` to ``hidden``, each float32, shape (1, tokens, 384).

    The table of words stays outside, where it is looked up without a copy of it.

    Args:
        weights: the model's, by their names in its file.
        int8: whether the matrices are multiplied in eight bits: the weights with one scale an
            output channel, what comes in with one scale a call.
    """
    serialized: bytes = _Graph(weights, int8).model().SerializeToString()
    return serialized


class _Graph:
    def __init__(self, weights: dict[str, Array], int8: bool) -> None:
        self.weights = weights
        self.int8 = int8
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def model(self) -> ModelProto:
        hidden = self.norm("embedded", "embeddings.LayerNorm")
        for number in range(_LAYERS):
            hidden = self.layer(hidden, f"encoder.layer.{number}")
        shape: list[str | int | None] = [1, "tokens", DIMENSION]
        graph = helper.make_graph(
            self.nodes,
            "encoder",
            [helper.make_tensor_value_info("embedded", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(hidden, TensorProto.FLOAT, shape)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(_RUNTIME, 1)]
        # Said, since the newest version of onnx writes what an older runtime may not read.
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def layer(self, hidden: str, name: str) -> str:
        attention = f"{name}.attention"
        parts = [f"{attention}.self.{part}" for part in ("query", "key", "value")]
        # One product for the three is one pass over what comes in, and one rounding of it.
        joined = self.linear(hidden, *parts)
        queries, keys, values = (f"{part}.out" for part in parts)
        sizes = self.constant(f"{attention}.sizes", np.full(3, DIMENSION, dtype=np.int64))
        self.nodes.append(
            helper.make_node("Split", [joined, sizes], [queries, keys, values], axis=2)
        )
        read = self.node(
            "MultiHeadAttention", [queries, keys, values], f"{attention}.out", num_heads=_HEADS
        )
        read = self.linear(read, f"{attention}.output.dense")
        hidden = self.norm(read, f"{attention}.output.LayerNorm", skip=hidden)
        wide = self.linear(hidden, f"{name}.intermediate.dense")
        wide = self.node("Gelu", [wide], f"{name}.gelu.out")
        narrow = self.linear(wide, f"{name}.output.dense")
        return self.norm(narrow, f"{name}.output.LayerNorm", skip=hidden)

    def linear(self, entered: str, *names: str) -> str:
        """What ``entered`` gives by the dense layers of ``names``, side by side."""
        name = names[0]
        # (in, out), the file has (out, in).
        weight = np.concatenate([self.weights[f"{each}.weight"] for each in names]).T
        bias = np.concatenate([self.weights[f"{each}.bias"] for each in names])
        added = self.constant(f"{name}.bias", bias)
        if self.int8:
            scale = np.abs(weight).max(axis=0) / np.float32(127)
            inputs = [
                entered,
                self.constant(f"{name}.weight", np.rint(weight / scale).astype(np.int8)),
                self.constant(f"{name}.scale", scale),
                "",  # no zero point: the weights lie around zero
                added,
            ]
            return self.node("DynamicQuantizeMatMul", inputs, f"{name}.joined")
        product = self.node(
            "MatMul", [entered, self.constant(f"{name}.weight", weight)], f"{name}.product", ""
        )
        return self.node("Add", [product, added], f"{name}.joined", "")

    def norm(self, entered: str, name: str, skip: str = "") -> str:
        """``entered``, and ``skip`` added to it where there is one, normalized a token."""
        shift = [
            self.constant(f"{name}.{part}", self.weights[f"{name}.{part}"])
            for part in ("weight", "bias")
        ]
        if skip:
            inputs = [entered, skip, *shift]
            return self.node("SkipLayerNormalization", inputs, f"{name}.out", epsilon=_EPSILON)
        inputs = [entered, *shift]
        return self.node("LayerNormalization", inputs, f"{name}.out", "", epsilon=_EPSILON)

    def node(
        self,
        operator: str,
        inputs: list[str],
        output: str,
        domain: str = _RUNTIME,
        **attributes: Any,  # noqa: ANN401 - an operator's own
    ) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **attributes))
        return output

    def constant(self, name: str, values: NDArray) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name
