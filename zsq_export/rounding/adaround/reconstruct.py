"""Learning segment after segment: each is to give what the float one gives, on the inputs that the quantized ones
before it leave (BRECQ, Li et al., ICLR 2021), with activations quantized at random (QDrop, Wei et al., ICLR 2022)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from zsq_export.execution.torch_executor.segments import Patches, Segment, SegmentedExecutor
from zsq_export.planning.plan import Plan
from zsq_export.rounding.adaround.learned import MaskPool
from zsq_export.rounding.adaround.settings import AdaroundSettings
from zsq_export.rounding.adaround.simulation import Simulation

Tensors = dict[str, Tensor]

_PROBE = 2
_TENSORS_AT_ONCE = 6
"""Exact and quantized entries, exits and what several places cross."""

_SHARE = 0.4
"""Of the free memory of a GPU; the rest is for the gradients of a batch."""


def reconstruct(
    executor: SegmentedExecutor,
    simulation: Simulation,
    plan: Plan,
    segments: tuple[Segment, ...],
    inputs: Tensors,
    settings: AdaroundSettings,
    progress: Callable[[float], None],
) -> float:
    """Learns everything in ``simulation``, first segment first.

    Args:
        executor: of the float model.
        simulation: see there; changed.
        plan: whose placement is simulated.
        segments: of the executor.
        inputs: graph input -> [samples, ...].
        settings: see there.
        progress: called with the share done.

    Returns:
        Mean relative squared error that the segments ended with.
    """
    exact = {name: tensor.to(_home(executor, inputs, segments)) for name, tensor in inputs.items()}
    quantized = dict(exact)
    errors = []
    for index, segment in enumerate(segments):
        targets = _run_all(executor, segment, exact, {}, settings.batch)
        errors.append(_learn(executor, simulation, plan, segment, exact, quantized, targets, settings))
        simulation.mode.masks = None
        quantized |= _run_all(executor, segment, quantized, simulation.patches, settings.batch)
        exact |= targets
        later = {name for other in segments[index + 1 :] for name in other.entries}
        exact, quantized = ({name: t for name, t in kept.items() if name in later} for kept in (exact, quantized))
        progress((index + 1) / len(segments))
    return sum(errors) / max(len(errors), 1)


def _run_all(executor: SegmentedExecutor, segment: Segment, values: Tensors, patches: Patches, batch: int) -> Tensors:
    """The exits for all samples, without gradients."""
    first = next(iter(values.values()))
    samples, home = len(first), first.device
    parts = []
    with torch.no_grad():
        for start in range(0, samples, batch):
            entries = {name: values[name][start : start + batch].to(executor.device) for name in segment.entries}
            parts.append(executor.run(segment, entries, patches))
    return {name: torch.cat([part[name].to(home) for part in parts]) for name in segment.exits}


def _home(executor: SegmentedExecutor, inputs: Tensors, segments: Sequence[Segment]) -> torch.device:
    """Where tensors of all samples are kept: the device if they take a small part of it, else the host.

    Copying each batch from the host takes longer than learning from it.
    """
    if executor.device.type != "cuda":
        return executor.device
    probe = {name: tensor[:_PROBE] for name, tensor in inputs.items()}
    with torch.no_grad():
        found = executor.run(executor.whole([name for s in segments for name in s.exits]), probe, {})
    samples = len(next(iter(inputs.values())))
    largest = max(tensor.numel() * tensor.element_size() for tensor in (*found.values(), *probe.values()))
    needed = largest / _PROBE * samples * _TENSORS_AT_ONCE
    free, _ = torch.cuda.mem_get_info(executor.device)
    return executor.device if needed < _SHARE * free else torch.device("cpu")


def _learn(
    executor: SegmentedExecutor,
    simulation: Simulation,
    plan: Plan,
    segment: Segment,
    exact: Tensors,
    quantized: Tensors,
    targets: Tensors,
    settings: AdaroundSettings,
) -> float:
    if not simulation.learned_weights(plan, set(segment.nodes)) or not segment.exits:
        return 0.0
    optimiser = _optimiser(simulation, plan, set(segment.nodes), settings)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps, eta_min=0.0)
    power = {name: float(target.square().mean()) + 1e-12 for name, target in targets.items()}
    samples = len(next(iter(targets.values())))
    masks = MaskPool(settings.drop, executor.device)
    simulation.mode.masks = masks if settings.drop else None
    error = 0.0
    for _ in range(settings.steps):
        chosen = torch.randint(samples, (min(settings.batch, samples),))
        entries = {
            name: _mixed(exact[name][chosen], quantized[name][chosen], masks, executor) for name in segment.entries
        }
        found = executor.run(segment, entries, simulation.patches)
        wanted = {name: targets[name][chosen].to(executor.device) for name in segment.exits}
        loss = _relative_error(found, wanted, power)
        error = float(loss.detach())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return error


def _optimiser(
    simulation: Simulation, plan: Plan, nodes: set[str], settings: AdaroundSettings
) -> torch.optim.Optimizer:
    weights, steps = simulation.learned_weights(plan, nodes), simulation.learned_steps(plan, nodes)
    biases = [bias for node, bias in simulation.biases.items() if node in nodes]
    return torch.optim.Adam(
        [
            {"params": [weight.offset for weight in weights.values()], "lr": settings.rounding_rate},
            {"params": [weight.log_scale for weight in weights.values()], "lr": settings.scale_rate},
            {"params": [step.log_scale for step in steps.values()], "lr": settings.scale_rate},
            {"params": [bias.shift for bias in biases], "lr": settings.bias_rate},
        ]
    )


def _relative_error(found: Tensors, wanted: Tensors, power: Mapping[str, float]) -> Tensor:
    """0-d: over the exits, the squared error relative to the power of the exit, summed over its channels."""
    errors = [(found[name] - wanted[name]).square().mean() / power[name] * _channels(found[name]) for name in wanted]
    return sum(errors[1:], start=errors[0])


def _mixed(exact: Tensor, quantized: Tensor, masks: MaskPool, executor: SegmentedExecutor) -> Tensor:
    """The quantized prefix's result, each element replaced by the float one with the masks' probability."""
    first, second = exact.to(executor.device), quantized.to(executor.device)
    return torch.lerp(first, second, masks.mask(first))


def _channels(tensor: Tensor) -> int:
    return tensor.shape[1] if tensor.dim() > 1 else 1
