"""The rounding methods there are; another distribution adds one by the entry point ``zsq_export.roundings``."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from zsq_export.errors import PlanError
from zsq_export.planning.plan import Plan, Role
from zsq_export.plugins import Registry
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.rounding.base import Rounded, Rounding, RoundingRequest

_ROUNDINGS = Registry(group="zsq_export.roundings", kind="rounding")
_NEAREST = "nearest"


def rounding_names() -> tuple[str, ...]:
    """Registered names, sorted; imports none of them."""
    return _ROUNDINGS.names()


def get_rounding(name: str) -> Rounding:
    """A new instance.

    Raises:
        UsageError: there is none of this name.
    """
    return cast(Rounding, _ROUNDINGS.get(name))


def round_weights(request: RoundingRequest) -> Rounded:
    """Rounds as the plan says; 8-bit floats and scales per block always go to the nearest, and the plan then says that.

    Raises:
        UsageError: the plan names a method that is not there.
        PlanError: the method cannot work on this model and calibration.
    """
    rounding = get_rounding(request.plan.rounding)
    if not _on_integer_grids(request.plan):
        return get_rounding(_NEAREST).round(replace(request, plan=replace(request.plan, rounding=_NEAREST)))
    obstacle = rounding.obstacle(request)
    if obstacle is not None:
        raise PlanError(f"rounding {rounding.name} cannot be used: {obstacle}",
                        hint="use --rounding squant or nearest, which need nothing")  # fmt: skip
    return rounding.round(request)


def _on_integer_grids(plan: Plan) -> bool:
    """Whether all weights are integers with a scale per channel or per tensor, which is what the methods work on."""
    weights = (item.qparams for item in plan.tensors if item.role is Role.WEIGHT)
    return all(item.block is None and item.dtype is not QuantDtype.FLOAT8E4M3FN for item in weights)
