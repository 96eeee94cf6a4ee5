"""Rounding ``adaround``: learned on synthetic inputs, in the target's own placement."""

from __future__ import annotations

from dataclasses import replace

from zsq_export.graph.topology import node_by_name
from zsq_export.planning.plan import Role
from zsq_export.quantization.dtypes import FULL_WIDTH
from zsq_export.rounding.adaround.settings import AdaroundSettings
from zsq_export.rounding.adaround.sharing import step_keys
from zsq_export.rounding.base import Rounded, RoundingRequest
from zsq_export.rounding.gptq import GptqRounding
from zsq_export.rounding.nearest import NearestRounding

_FEWEST = 2


class AdaroundRounding:
    """Block reconstruction with learned rounding and steps (AdaRound, BRECQ, QDrop)."""

    name = "adaround"
    summary = "learns rounding, scales and biases block by block on the synthetic inputs; minutes, for few bits"
    needs_inputs = True

    def __init__(self, settings: AdaroundSettings | None = None) -> None:
        self.settings = settings or AdaroundSettings()

    def obstacle(self, request: RoundingRequest) -> str | None:
        """Why it cannot work: no inputs to learn from, or nothing to learn."""
        if not request.inputs or len(next(iter(request.inputs.values()))) < _FEWEST:
            return f"the calibration holds fewer than {_FEWEST} inputs to learn from (calibrator moments makes none)"
        if not any(item.role is Role.WEIGHT and item.qparams.width < FULL_WIDTH for item in request.plan.tensors):
            return (
                "all weights have 8 bits, where rounding to the nearest loses nothing worth learning (--weights-bits)"
            )
        return None

    def round(self, request: RoundingRequest) -> Rounded:
        """Learns and returns integers, scales and bias corrections.

        Raises:
            PlanError: an operator of the model has no differentiable implementation.
        """
        import torch

        from zsq_export.execution.torch_executor.segments import SegmentedExecutor
        from zsq_export.rounding.adaround.reconstruct import reconstruct
        from zsq_export.rounding.adaround.simulation import simulate

        settings = self.settings if request.steps is None else replace(self.settings, steps=request.steps)
        start = (GptqRounding() if settings.compensated else NearestRounding()).round(request)
        executor = SegmentedExecutor(request.model, device=request.device)
        inputs = {name: torch.from_numpy(array) for name, array in request.inputs.items()}
        weighted = {use.node for item in request.plan.tensors if item.role is Role.WEIGHT for use in item.uses}
        segments = executor.segments(weighted, inputs)
        simulation = simulate(
            executor, start.plan, settings.reach, start.integers, step_keys(request.model, start.plan)
        )
        with torch.random.fork_rng():
            torch.manual_seed(request.seed)
            reconstruct(executor, simulation, start.plan, segments, inputs, settings,
                        lambda done: request.progress("learning to round", done))  # fmt: skip
        learned = simulation.result(start.plan, node_by_name(request.model))
        return replace(learned, integers={**start.integers, **learned.integers})
