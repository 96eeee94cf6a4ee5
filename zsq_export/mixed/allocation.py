"""The cheapest bits for every layer within a budget, as an integer programme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from zsq_export.errors import PlanError

_SECONDS = 60.0


def allocate(
    costs: Mapping[str, Sequence[float]], units: Mapping[str, int], widths: Sequence[int], average_bits: float
) -> dict[str, int]:
    """Minimises the sum of costs under ``sum(units * bits) <= average_bits * sum(units)``, one width per layer.

    Solved exactly by HiGHS (Huangfu and Hall 2018) through ``scipy.optimize.milp``.

    Args:
        costs: layer -> one figure per width.
        units: layer -> what its bits are multiplied with: weights (a budget of size) or multiply-accumulates.
        widths: bits on offer.
        average_bits: the budget.

    Returns:
        Layer -> bits.

    Raises:
        PlanError: not even the fewest bits fit.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp

    names = list(costs)
    if average_bits < min(widths):
        raise PlanError(f"an average of {average_bits:g} bits is below the {min(widths)} that layers can have")
    count = len(widths)
    scale = max(float(sum(units[name] for name in names)), 1.0)
    used = np.concatenate([np.multiply(widths, units[name] / scale) for name in names])
    one_each = np.kron(np.eye(len(names)), np.ones(count))
    objective = np.concatenate([np.asarray(costs[name], np.float64) for name in names])
    solved = milp(
        objective / max(float(objective.max()), 1e-30),
        constraints=[LinearConstraint(one_each, 1, 1), LinearConstraint(used, -np.inf, average_bits)],
        integrality=np.ones(len(objective)),
        bounds=Bounds(0, 1),
        options={"time_limit": _SECONDS, "mip_rel_gap": 1e-6},
    )
    if solved.x is None:
        raise PlanError(f"no assignment of bits was found: {solved.message}", hint="raise --average-bits")
    chosen = solved.x.reshape(len(names), count).argmax(axis=1)
    return {name: widths[int(index)] for name, index in zip(names, chosen, strict=True)}
