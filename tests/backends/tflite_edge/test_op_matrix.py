"""Op by op against ONNX Runtime: the same integers in, at most one step apart."""

from __future__ import annotations

import numpy as np
import pytest
from onnx_graphs import random_feeds, run
from plans import plan
from tflite_cases import CASES

from zsq_export.backends.options import FloatPrecision, IoLayout, IoType, Profile, TargetOptions
from zsq_export.backends.tflite_edge import TfliteEdge
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning.plan import Role
from zsq_export.planning.schemes import Scheme

pytest.importorskip("ai_edge_litert", reason="LiteRT is not installed")

from zsq_export.backends.tflite_edge.run import LiteRtRunner

FLOAT_TOLERANCE = 1e-5
WIDE_SLACK = 1.02
"""Float32 holds no more than 8 bits beyond the 16."""


@pytest.mark.parametrize("name", CASES)
def test_floats(name: str) -> None:
    graph = CASES[name].build()
    runner = TfliteEdge().open_float(graph, FloatPrecision.F32, threads=1)
    for batch in (1, 3) if not isinstance(CASES[name].shape[0], int) else (1,):
        feeds = random_feeds(graph, batch=batch)
        expected, found = run(graph, feeds)["y"], runner.run(feeds)["y"]
        assert expected.shape == found.shape
        assert np.abs(expected - found).max() <= FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max()))


@pytest.mark.parametrize("profile", Profile)
@pytest.mark.parametrize("name", CASES)
def test_integers(name: str, profile: Profile) -> None:
    case = CASES[name]
    graph = case.build()
    wanted = TargetOptions(profile=profile, layout=IoLayout.NCHW)
    if profile is Profile.INT8_ONLY and not case.integer:
        wanted = TargetOptions(layout=IoLayout.NCHW)
    backend = TfliteEdge().configured(wanted)
    made = plan(graph, backend.placement())
    qdq = graph.clone()
    InsertQdq(made)(qdq)
    runner = LiteRtRunner(backend._emitted(qdq), threads=1)
    steps = {item.tensor: item.qparams.scale[0] for item in made.tensors if item.role is Role.ACTIVATION}
    step = steps.get("y", max(steps.values(), default=0.0))
    for batch in (1, 3) if not isinstance(case.shape[0], int) else (1,):
        feeds = random_feeds(graph, batch=batch)
        expected, found = run(qdq, feeds)["y"], runner.run(feeds)["y"]
        assert expected.shape == found.shape
        tolerance = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max()))
        assert np.abs(expected - found).max() <= max(1.001 * step, tolerance)


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.integer])
def test_integers_at_both_ends(name: str) -> None:
    case = CASES[name]
    graph = case.build()
    backend = TfliteEdge().configured(TargetOptions(profile=Profile.INT8_ONLY, io=IoType.INT8))
    made = plan(graph, backend.placement())
    qdq = graph.clone()
    InsertQdq(made)(qdq)
    runner = LiteRtRunner(backend._emitted(qdq), threads=1)
    assert {op.precision for op in runner.executed_precisions()} <= {"i8", "i32"}
    step = next(item.qparams.scale[0] for item in made.tensors if item.tensor == "y")
    feeds = random_feeds(graph, batch=1)
    assert np.abs(run(qdq, feeds)["y"] - runner.run(feeds)["y"]).max() <= 1.001 * step


@pytest.mark.parametrize("name", CASES)
def test_wide_integers(name: str) -> None:
    case = CASES[name]
    graph = case.build()
    backend = TfliteEdge().configured(TargetOptions(scheme=Scheme.INT16X8))
    made = plan(graph, backend.placement())
    qdq = graph.clone()
    InsertQdq(made)(qdq)
    runner = LiteRtRunner(backend._emitted(qdq), threads=1)
    steps = {item.tensor: item.qparams.scale[0] for item in made.tensors if item.role is Role.ACTIVATION}
    step = steps.get("y", max(steps.values(), default=0.0))
    feeds = random_feeds(graph, batch=1)
    expected, found = run(qdq, feeds)["y"], runner.run(feeds)["y"]
    tolerance = FLOAT_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    assert np.abs(expected - found).max() <= max(WIDE_SLACK * case.wide_steps * step, tolerance)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60
