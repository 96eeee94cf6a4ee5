"""Plans as JSON that a person can read and edit: delete a tensor to leave it float, change a scale."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np

from zsq_export.errors import PlanError
from zsq_export.planning.check import check_plan
from zsq_export.planning.json_values import JsonValue
from zsq_export.planning.plan import PLAN_SCHEMA_VERSION, BiasCorrection, FloatOp, Plan, Role, TensorPlan, Use
from zsq_export.planning.schemes import Scheme
from zsq_export.planning.search_json import search_from_json, search_to_raw
from zsq_export.quantization.dtypes import QuantDtype
from zsq_export.quantization.qparams import QParams

__all__ = ["check_plan", "plan_from_json", "plan_to_json"]

_Choice = TypeVar("_Choice", bound=StrEnum)

_PLAN_KEYS = frozenset({"schema_version", "target", "model_sha256", "equalized", "tensors", "float_ops"})
_PLAN_OPTIONS = frozenset({"scheme", "settings", "float32_ops", "bias_corrections", "rounding", "learned", "search"})
_TENSOR_KEYS = frozenset({"tensor", "role", "dtype", "scale", "zero_point", "uses"})
_TENSOR_OPTIONS = frozenset({"axis", "narrow_range", "as_output", "bits", "block"})


def plan_to_json(plan: Plan) -> str:
    """The plan as JSON, one key per line and lists of numbers on one line; equal plans give equal text."""
    raw = {
        "schema_version": plan.schema_version,
        "target": plan.target,
        "scheme": plan.scheme.value,
        "settings": dict(plan.settings),
        "model_sha256": plan.model_sha256,
        "equalized": plan.equalized,
        "rounding": plan.rounding,
        "tensors": [_tensor_to_raw(tensor) for tensor in plan.tensors],
        "float_ops": [asdict(op) for op in plan.float_ops],
        "float32_ops": [asdict(op) for op in plan.float32_ops],
        "bias_corrections": [
            {"node": item.node, "delta": [_short(value) for value in item.delta]} for item in plan.bias_corrections
        ],
    }
    if plan.learned:
        raw["learned"] = True
    if plan.search:
        raw["search"] = search_to_raw(plan.search)
    return _layout(raw, 0) + "\n"


def plan_from_json(text: str) -> Plan:
    """Reads what :func:`plan_to_json` wrote, numbers exactly.

    Raises:
        PlanError: it is no JSON, or a value is missing, unknown or of the wrong kind; names the place as a JSON path.
    """
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise PlanError(f"the plan is not valid JSON: {error}", hint="check the edited lines") from error
    members = JsonValue(raw=raw).object(_PLAN_KEYS, _PLAN_OPTIONS)
    version = members["schema_version"].integer()
    if version != PLAN_SCHEMA_VERSION:
        raise PlanError(
            f"the plan has schema version {version}, this program reads {PLAN_SCHEMA_VERSION}",
            hint="make the plan again with `zsq-export plan`",
        )
    corrections = members.get("bias_corrections", JsonValue(raw=[]))
    return Plan(
        target=members["target"].text(),
        model_sha256=members["model_sha256"].text(),
        equalized=members["equalized"].flag(),
        rounding=members["rounding"].text() if "rounding" in members else "nearest",
        learned="learned" in members and members["learned"].flag(),
        tensors=tuple(_tensor(value) for value in members["tensors"].items()),
        float_ops=tuple(_float_op(value) for value in members["float_ops"].items()),
        float32_ops=tuple(_float_op(value) for value in members["float32_ops"].items())
        if "float32_ops" in members
        else (),
        bias_corrections=tuple(_correction(value) for value in corrections.items()),
        scheme=_choice(members["scheme"], Scheme) if "scheme" in members else Scheme.INT8,
        settings=_pairs(members["settings"]) if "settings" in members else (),
        search=search_from_json(members["search"]) if "search" in members else (),
    )


def _tensor_to_raw(plan: TensorPlan) -> dict[str, Any]:
    qparams = plan.qparams
    single = qparams.axis is None
    scale, zero_point = [_short(value) for value in qparams.scale], list(qparams.zero_point)
    if len(set(zero_point)) == 1:
        zero_point = zero_point[:1]
    raw: dict[str, Any] = {
        "tensor": plan.tensor,
        "role": plan.role.value,
        "dtype": qparams.dtype.value,
        "scale": scale[0] if single else scale,
        "zero_point": zero_point[0] if len(zero_point) == 1 else zero_point,
        "uses": [{"node": use.node, "input": use.input_index} for use in plan.uses],
    }
    options = {
        "axis": qparams.axis,
        "bits": qparams.bits,
        "block": qparams.block,
        "narrow_range": qparams.narrow_range,
        "as_output": plan.as_output,
    }
    return raw | {key: value for key, value in options.items() if value is not None and value is not False}


def _tensor(value: JsonValue) -> TensorPlan:
    members = value.object(_TENSOR_KEYS, _TENSOR_OPTIONS)
    return TensorPlan(
        tensor=members["tensor"].text(),
        role=_choice(members["role"], Role),
        qparams=_qparams(value, members),
        uses=tuple(_use(use) for use in members["uses"].items()),
        as_output="as_output" in members and members["as_output"].flag(),
    )


def _qparams(place: JsonValue, members: dict[str, JsonValue]) -> QParams:
    scale = tuple(item.float32() for item in members["scale"].one_or_more())
    zero_point = tuple(item.integer() for item in members["zero_point"].one_or_more())
    try:
        return QParams(
            scale=scale,
            zero_point=zero_point * len(scale) if len(zero_point) == 1 else zero_point,
            dtype=_choice(members["dtype"], QuantDtype),
            axis=members["axis"].integer() if "axis" in members else None,
            narrow_range="narrow_range" in members and members["narrow_range"].flag(),
            bits=members["bits"].integer() if "bits" in members else None,
            block=members["block"].integer() if "block" in members else None,
        )
    except ValueError as error:
        raise PlanError(f"plan: {place.path} ({members['tensor'].text()!r}): {error}") from error


def _use(value: JsonValue) -> Use:
    members = value.object(frozenset({"node", "input"}))
    return Use(node=members["node"].text(), input_index=members["input"].integer())


def _float_op(value: JsonValue) -> FloatOp:
    members = value.object(frozenset({"node", "op_type", "reason"}))
    return FloatOp(**{key: member.text() for key, member in members.items()})


def _correction(value: JsonValue) -> BiasCorrection:
    members = value.object(frozenset({"node", "delta"}))
    return BiasCorrection(node=members["node"].text(), delta=tuple(item.float32() for item in members["delta"].items()))


def _pairs(value: JsonValue) -> tuple[tuple[str, str], ...]:
    return tuple((name, member.text()) for name, member in value.members())


def _choice(value: JsonValue, kind: type[_Choice]) -> _Choice:
    text = value.text()
    if text not in (names := [member.value for member in kind]):
        raise value.mistake("one of " + ", ".join(names))
    return kind(text)


def _short(value: float) -> float:
    """The number with the fewest digits that is the same in float32."""
    return float(str(np.float32(value)))


def _layout(raw: Any, depth: int) -> str:
    """JSON text; lists of numbers and small objects without lists stay on one line."""
    if not _nested(raw):
        return json.dumps(raw, ensure_ascii=False)
    pad, end = "  " * (depth + 1), "  " * depth
    if isinstance(raw, dict):
        lines = [f"{pad}{json.dumps(key)}: {_layout(value, depth + 1)}" for key, value in raw.items()]
        return "{\n" + ",\n".join(lines) + f"\n{end}}}"
    return "[\n" + ",\n".join(pad + _layout(value, depth + 1) for value in raw) + f"\n{end}]"


def _nested(raw: Any) -> bool:
    if isinstance(raw, dict):
        return any(isinstance(value, dict | list) for value in raw.values())
    return isinstance(raw, Sequence) and any(isinstance(value, dict | list) for value in raw)
