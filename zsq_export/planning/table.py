"""Placement tables: what one target wants quantized, as data. One instance per target, in its backend's folder."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from zsq_export.planning.schemes import Scheme
from zsq_export.quantization.dtypes import FULL_WIDTH, QuantSpec


class Scope(StrEnum):
    """Which tensors of an op are quantized."""

    INPUTS = "inputs"
    INPUTS_AND_OUTPUT = "inputs and output"
    WEIGHT = "weight only"


class BiasRule(StrEnum):
    """What happens to the bias of a weighted op."""

    FLOAT = "float"
    INT32 = "int32"


class ScaleRule(StrEnum):
    """Constraint between the quantized tensors of one op.

    AGNOSTIC ops (MaxPool, Reshape, Concat, ...) never start a quantization: they take part if all that is computed
    from them is read quantized, and then their inputs and outputs share one scale. SANDWICHED ops (AveragePool)
    take part under the same condition, but compute new values, so that input and output have scales of their own.
    """

    FREE = "free"
    ONE_SCALE = "one scale for all inputs and outputs"
    AGNOSTIC = "passes its input's quantization through, never starts one"
    SANDWICHED = "reads integers where all that reads its result does"


class ConstantRule(StrEnum):
    """What happens to an op one of whose activation operands is a constant (Add with a constant, ...)."""

    QUANTIZE = "the constant is quantized, too"
    FLOAT_OP = "the op stays float"


class Pattern(StrEnum):
    """A sub-graph that a target computes best in float as a whole."""

    SELF_GATE = "self gate"
    SQUEEZE_EXCITE = "squeeze and excite"


@dataclass(frozen=True, kw_only=True)
class WeightRule:
    """Constant weight of an op. Its channel axis follows from the op (``graph.topology.weight_axis``).

    Attributes:
        input_index: slot of the constant.
        spec: integer type and symmetry.
        required: without a constant weight the op stays float; else both operands count as activations.
        grouped: the op may have more than one group.
    """

    input_index: int
    spec: QuantSpec
    required: bool = True
    grouped: bool = True


@dataclass(frozen=True, kw_only=True)
class SizeLimit:
    """Layers too small to gain from integers stay float.

    Attributes:
        channels: fewest input and output channels of a convolution, and fewest rows and columns of a weight matrix.
        multiple: a convolution with a kernel of 3 or more on a side is exempt if its channels are multiples of this.
        first_layer: a convolution that reads a graph input is exempt.
    """

    channels: int
    multiple: int
    first_layer: bool = True


@dataclass(frozen=True, kw_only=True)
class OpRule:
    """One row of a table.

    Attributes:
        op_types: ONNX op types that the row is about.
        scope: which tensors get Q/DQ.
        reason: why the row is as it is, with its source.
        inputs: slots that hold activations; None: every float input.
        activation: type of the activations; None: the table's default.
        weight: for ops with constant weights.
        bias: what happens to the bias (slot 2 of Conv, ConvTranspose and Gemm).
        scale_rule: constraint between its tensors.
        constants: what to do where an activation operand is a constant.
        fuses_into: op types that this op is computed in where one of them alone feeds one of its slots (a residual Add
            inside a convolution): that slot stays float. Without such a producer the op stays float.
        float_result: where the output is a graph output it stays float, even if the scope says otherwise.
        only_behind: activations are read quantized only where one of these op types computed them; () any.
        bias_add: an Add of a constant vector that alone follows a product with a constant matrix is its bias.
        fuses_activation: a fused activation behind the op is computed inside, its result is what gets Q/DQ.
        size: which of these ops are too small.
    """

    op_types: tuple[str, ...]
    scope: Scope
    reason: str
    inputs: tuple[int, ...] | None = None
    activation: QuantSpec | None = None
    weight: WeightRule | None = None
    bias: BiasRule = BiasRule.FLOAT
    scale_rule: ScaleRule = ScaleRule.FREE
    constants: ConstantRule = ConstantRule.FLOAT_OP
    fuses_into: tuple[str, ...] = ()
    float_result: bool = False
    only_behind: tuple[str, ...] = ()
    bias_add: bool = False
    fuses_activation: bool = True
    size: SizeLimit | None = None


@dataclass(frozen=True, kw_only=True)
class FixedOutput:
    """An op whose output range is known beforehand (softmax: 0..1)."""

    op_type: str
    minimum: float
    maximum: float


@dataclass(frozen=True, kw_only=True)
class FloatReason:
    """Why an op type, or a whole pattern, stays float."""

    subject: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StemRule:
    """A convolution of the model's input stays float if it does at most this share of all multiply-accumulates."""

    largest_share: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class PlacementTable:
    """Everything planning has to know of a target.

    Attributes:
        target: registered name of the backend.
        activation: default type of activations.
        rules: rows; an op type without a row stays float.
        float_reasons: op types -> why they stay float, for ops a person would ask about.
        float_patterns: sub-graphs that stay float as a whole.
        fixed_outputs: known output ranges.
        fused_activations: ops that are computed inside the op before them; no Q/DQ in between.
        float_stem: when the first convolution stays float; None: never.
        scheme: that the table is for; a target has a table per scheme.
        weight_widths, activation_widths: bits that can be asked for instead of those of the rows' types
            (``options.FLOAT_BITS``: activations may stay float).
        half: what is not quantized runs in float16, but for what overflows there (``Plan.float32_ops``).
    """

    target: str
    activation: QuantSpec
    rules: tuple[OpRule, ...]
    float_reasons: tuple[FloatReason, ...] = ()
    float_patterns: tuple[tuple[Pattern, str], ...] = ()
    fixed_outputs: tuple[FixedOutput, ...] = ()
    fused_activations: tuple[str, ...] = ()
    float_stem: StemRule | None = None
    scheme: Scheme = Scheme.INT8
    weight_widths: frozenset[int] = frozenset({FULL_WIDTH})
    activation_widths: frozenset[int] = frozenset({FULL_WIDTH})
    half: bool = False

    def rule(self, op_type: str) -> OpRule | None:
        """The row of an op type, or None."""
        return next((rule for rule in self.rules if op_type in rule.op_types), None)

    def float_reason(self, op_type: str) -> str:
        """Why an op type without a row stays float."""
        known = (entry.reason for entry in self.float_reasons if entry.subject == op_type)
        return next(known, f"{self.target} runs {op_type} in float only")
