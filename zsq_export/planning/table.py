"""Placement tables: what one target wants quantized, as data. One instance per target, in its backend's folder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from zsq_export.quantization.dtypes import QuantSpec


class Scope(StrEnum):
    """Which tensors of an op are quantized."""

    INPUTS = "inputs"
    INPUTS_AND_OUTPUT = "inputs and output"


class BiasRule(StrEnum):
    """What happens to the bias of a weighted op."""

    FLOAT = "float"
    INT32 = "int32"


class ScaleRule(StrEnum):
    """Constraint between the quantized tensors of one op."""

    FREE = "free"
    ONE_SCALE = "one scale for all inputs and outputs"
    AGNOSTIC = "passes its input's quantization through, never starts one"


@dataclass(frozen=True, kw_only=True)
class WeightRule:
    """Weight of an op: its input slot, channel axis and type.

    Attributes:
        input_index: slot of the constant.
        axis: output-channel axis of the constant (before any transpose flag of the op is looked at).
        spec: integer type and symmetry.
    """

    input_index: int
    axis: int
    spec: QuantSpec


@dataclass(frozen=True, kw_only=True)
class OpRule:
    """One row of a table.

    Attributes:
        op_types: ONNX op types that the row is about.
        scope: which tensors get Q/DQ.
        reason: why the row is as it is, with its source.
        activation: type of the activations; None: the table's default.
        weight: for ops with constant weights.
        bias: what happens to the bias.
        scale_rule: constraint between its tensors.
    """

    op_types: tuple[str, ...]
    scope: Scope
    reason: str
    activation: QuantSpec | None = None
    weight: WeightRule | None = None
    bias: BiasRule = BiasRule.FLOAT
    scale_rule: ScaleRule = ScaleRule.FREE


@dataclass(frozen=True, kw_only=True)
class FixedOutput:
    """An op whose output range is known beforehand (softmax: 0..1)."""

    op_type: str
    minimum: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class PlacementTable:
    """Everything planning has to know of a target.

    Attributes:
        target: registered name of the backend.
        activation: default type of activations.
        rules: rows; an op type without a row stays float.
        float_reasons: op type -> why it stays float, for ops a person would ask about.
        fixed_outputs: known output ranges.
        fused_activations: ops that are computed inside the weighted op before them; no Q/DQ in between.
    """

    target: str
    activation: QuantSpec
    rules: tuple[OpRule, ...]
    float_reasons: tuple[tuple[str, str], ...] = ()
    fixed_outputs: tuple[FixedOutput, ...] = ()
    fused_activations: tuple[str, ...] = ()
