"""Engines of small graphs, where TensorRT for RTX is installed: it builds without a GPU."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import onnx_ir as ir
import pytest
from plans import plan

from zsq_export.backends.base import Backend
from zsq_export.backends.options import TargetOptions
from zsq_export.backends.registry import get_backend
from zsq_export.backends.tensorrt_gpu.layers import BuiltLayer, computing, layers_from_json
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning.plan import Plan
from zsq_export.planning.schemes import Scheme

needs_rtx = pytest.mark.skipif(importlib.util.find_spec("tensorrt_rtx") is None, reason="tensorrt-rtx is not installed")


def rtx(scheme: Scheme = Scheme.INT8, **options: object) -> Backend:
    """The backend, configured."""
    return get_backend("tensorrt-rtx").configured(TargetOptions(scheme=scheme, **options))  # type: ignore[arg-type]


def quantized(model: ir.Model, backend: Backend) -> tuple[ir.Model, Plan]:
    """The QDQ model of a small graph, from statistics of random inputs."""
    made = plan(model, backend.placement())
    copy = model.clone()
    InsertQdq(made)(copy)
    return copy, made


def built_layers(model: ir.Model, backend: Backend, folder: Path) -> tuple[BuiltLayer, ...]:
    """What the engine of a small graph is made of."""
    qdq, made = quantized(model, backend)
    backend.lower(qdq, made, folder)
    return layers_from_json((folder / "layers.json").read_text())


def precision_of(layers: tuple[BuiltLayer, ...], node: str) -> str:
    """Type that a node is computed in."""
    layer = computing(layers, node)
    assert layer is not None, node
    return layer.precision
