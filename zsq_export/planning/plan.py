"""The plan: every tensor's qparams, every op left float with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from zsq_export.planning.schemes import Scheme
from zsq_export.quantization.qparams import QParams

PLAN_SCHEMA_VERSION = 1


class Role(StrEnum):
    """What a quantized tensor is to its consumers."""

    ACTIVATION = "activation"
    WEIGHT = "weight"
    BIAS = "bias"


@dataclass(frozen=True, kw_only=True, order=True)
class Use:
    """One input slot of one node."""

    node: str
    input_index: int


@dataclass(frozen=True, kw_only=True)
class TensorPlan:
    """How one tensor is quantized and which of its readers read it through Q/DQ.

    Attributes:
        tensor: name in the folded model.
        role: activation, weight or bias.
        qparams: scale, zero point, dtype, axis.
        uses: the input slots that read the quantized value; other readers keep the float one.
        as_output: the graph output of this name is quantized and dequantized, too.
    """

    tensor: str
    role: Role
    qparams: QParams
    uses: tuple[Use, ...]
    as_output: bool = False


@dataclass(frozen=True, kw_only=True)
class FloatOp:
    """An op that the target could run in integers but that stays float."""

    node: str
    op_type: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class BiasCorrection:
    """What is added to the float bias of one node before it is quantized; one value per output channel."""

    node: str
    delta: tuple[float, ...]


class SearchAction(StrEnum):
    """What one step of a search tried."""

    START = "as planned"
    KEEP_FLOAT = "leave float for fidelity"
    DROP_SLOW = "leave float for speed"
    QUANTIZE_AGAIN = "quantize again"
    FLOAT_PRECISION = "run the rest in another float"


@dataclass(frozen=True, kw_only=True)
class SearchStep:
    """One plan that a search built and measured.

    Attributes:
        action: what was changed against the plan that was kept last.
        nodes: that the step left in float, or quantized again.
        reason: why it was tried and what came of it, for people.
        agreement, agreement_low: predicted on real data and the lower end of its interval, percent.
        sqnr_db: of the outputs on held-out synthetic inputs.
        speedup, speedup_low, speedup_high: times as fast as the best float model, with its interval; None where it was
            not measured.
        kept: whether later steps build on it.
    """

    action: SearchAction
    nodes: tuple[str, ...]
    reason: str
    agreement: float
    agreement_low: float
    sqnr_db: float
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    kept: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The result of placement + ranges for one model and one target.

    Attributes:
        target: registered name of the backend.
        model_sha256: of the float model's file.
        equalized: cross-layer equalization ran on the model before this plan was made, and has to run again.
        tensors: sorted as in the graph.
        float_ops: every op left float, with its reason; none where the scheme quantizes nothing.
        bias_corrections: see there.
        scheme: how weights and activations are stored.
        settings: further options of the target, as (name, text) pairs.
        float32_ops: where the target runs what is not quantized in float16, the ops that must not, with reasons.
        rounding: registered name of how the weights are rounded.
        learned: the scales were learned together with integers that the plan does not hold.
        search: the steps of ``convert --search`` that led to this plan, in order; empty without a search.
    """

    target: str
    model_sha256: str
    equalized: bool
    tensors: tuple[TensorPlan, ...]
    float_ops: tuple[FloatOp, ...]
    bias_corrections: tuple[BiasCorrection, ...] = ()
    scheme: Scheme = Scheme.INT8
    settings: tuple[tuple[str, str], ...] = ()
    float32_ops: tuple[FloatOp, ...] = ()
    rounding: str = "nearest"
    learned: bool = False
    search: tuple[SearchStep, ...] = ()
    schema_version: int = PLAN_SCHEMA_VERSION
