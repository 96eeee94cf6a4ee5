from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from digits import DigitsModel, to_inputs

from zsq_export.backends.registry import get_backend
from zsq_export.execution.collect import collect_statistics
from zsq_export.graph.prepare import prepare_model
from zsq_export.graph.saving import save_model
from zsq_export.passes.insert_qdq import InsertQdq
from zsq_export.planning.planner import make_plan
from zsq_export.validation.validate import Subject

CALIBRATION_SAMPLES = 64


@pytest.fixture(scope="session")
def digits_subject(digits_model: DigitsModel, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Subject]:
    """``digits_subject(target)``: the digits network quantized on real pictures and lowered, as ``convert`` does."""
    prepared = prepare_model(digits_model.path)
    pictures = to_inputs(digits_model.x_train_pixels[:CALIBRATION_SAMPLES])
    statistics = collect_statistics(prepared.folded, {"x": pictures})

    def make(target: str) -> Subject:
        folder: Path = tmp_path_factory.mktemp(target)
        backend = get_backend(target)
        plan = make_plan(prepared, statistics, backend.placement())
        qdq = prepared.folded.clone()
        InsertQdq(plan)(qdq)
        save_model(qdq, folder / "qdq.onnx")
        names = backend.lower(qdq, plan, folder)
        return Subject(
            target=target,
            entry=folder / names[0],
            lowered_bytes=sum((folder / name).stat().st_size for name in names),
            qdq=folder / "qdq.onnx",
            prepared=prepared,
            float_bytes=digits_model.path.stat().st_size,
            float_ops=plan.float_ops,
            provenance=(("calibrator", "data"),),
            tensors=plan.tensors,
            seen={name: (found.minimum, found.maximum) for name, found in statistics.items()},
        )

    return make
