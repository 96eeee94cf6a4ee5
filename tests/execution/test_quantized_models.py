"""QDQ models in the PyTorch executor against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest
import torch
from digits import DigitsModel
from onnx_graphs import model, node, run, weights
from plans import plan, table

from zsq_export.backends.registry import get_backend
from zsq_export.execution.collect import collect_statistics
from zsq_export.execution.torch_executor import TorchExecutor
from zsq_export.graph.prepare import prepare_model
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning import make_plan
from zsq_export.planning.table import Scope
from zsq_export.quantization.metrics import sqnr_db


@pytest.mark.parametrize("target", ["onnxruntime", "openvino", "tensorrt"])
def test_a_trained_network_computes_the_same(target: str, digits_model: DigitsModel) -> None:
    ready = prepare_model(digits_model.path)
    statistics = collect_statistics(ready.folded, {"x": digits_model.x_test[:64]})
    qdq = ready.folded.clone()
    InsertQdq(make_plan(ready, statistics, get_backend(target).placement()))(qdq)
    feeds = {"x": digits_model.x_test[:200]}
    expected = run(qdq, feeds)["logits"]
    found = TorchExecutor(qdq)({"x": torch.from_numpy(feeds["x"])}).outputs["logits"].numpy()
    assert np.mean(found.argmax(1) == expected.argmax(1)) >= 0.995
    assert sqnr_db(expected, found) > 35


def test_integers_are_the_same_to_the_last() -> None:
    graph = model([node("Conv", ["x", "w"], "y")], {"w": weights(8, 3, 3, 3)})
    made = plan(graph, table(Scope.INPUTS))
    InsertQdq(made)(graph)
    x = np.random.default_rng(0).normal(size=(4, 3, 8, 8)).astype(np.float32) * 3
    taps = ["x_quantized", "x_dequantized", "w_dequantized"]
    graph.graph.outputs.extend(value for value in _values(graph) if value.name in taps)
    expected = run(graph, {"x": x})
    found = TorchExecutor(graph)({"x": torch.from_numpy(x)}).outputs
    for name in taps:
        assert np.array_equal(expected[name], found[name].numpy())


def _values(graph: ir.Model) -> list[ir.Value]:
    return [value for item in graph.graph for value in item.outputs]
