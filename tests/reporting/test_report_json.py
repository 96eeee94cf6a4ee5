from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from reports import make_report

from zsq_export.backends.base import ExecutedOp
from zsq_export.errors import ArtifactError
from zsq_export.metrics import results
from zsq_export.planning.plan import FloatOp, TensorPlan
from zsq_export.reporting.report_json import (
    read_report,
    report_from_dict,
    report_schema,
    report_to_dict,
    write_report,
)
from zsq_export.validation import confusion, figures, ranges, report_types
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.gates import Gates
from zsq_export.validation.report_types import ValidationReport

GATES = Gates(min_agreement=99, max_accuracy_drop=1, min_speedup=1.2)


@pytest.mark.parametrize("origin", list(InputOrigin))
def test_report_survives_a_round_trip(tmp_path: Path, origin: InputOrigin) -> None:
    report = make_report(origin, GATES)
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report


@pytest.mark.parametrize("origin", list(InputOrigin))
def test_report_fits_its_schema(origin: InputOrigin) -> None:
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(report_to_dict(make_report(origin, GATES)), schema)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("accuracy", "top1_float"), "97"),
        (("inputs", "origin"), "imagined"),
        (("latency", "series", 0, "extra"), 1),
        (("gates", 0, "passed"), None),
        (("schema_version",), 1),
    ],
)
def test_schema_and_reader_refuse_what_does_not_belong(path: tuple[Any, ...], value: Any) -> None:
    raw = report_to_dict(make_report(gates=GATES))
    inner = raw
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(raw, report_schema())
    with pytest.raises(ArtifactError):
        report_from_dict(raw)


def test_schema_follows_the_dataclasses() -> None:
    schema = report_schema()
    described = {"ValidationReport": schema, **schema["$defs"]}
    modules = [vars(module).values() for module in (figures, report_types, ranges, confusion, results)]
    kinds = {kind for module in modules for kind in module if isinstance(kind, type) and is_dataclass(kind)}
    kinds = {kind for kind in kinds if not kind.__name__.startswith("_")} - {TensorPlan}
    for kind in kinds | {ExecutedOp, FloatOp}:
        names = {entry.name for entry in fields(kind)} | ({"passed"} if kind is ValidationReport else set())
        assert set(described[kind.__name__]["properties"]) == names, "run tools/make_report_schema.py"
        assert set(described[kind.__name__]["required"]) == names


def test_missing_field_is_named() -> None:
    raw = report_to_dict(make_report())
    del raw["latency"]["series"][1]["median_ms"]
    with pytest.raises(ArtifactError, match=r"latency\.series\[1\] lacks 'median_ms'"):
        report_from_dict(raw)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema_version": 2}', "\x00"])
def test_no_report_is_an_error_of_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "report.json").write_text(text)
    with pytest.raises(ArtifactError) as caught:
        read_report(tmp_path / "report.json")
    assert "\n" not in str(caught.value) and "report.json" in str(caught.value)


def test_passed_says_whether_every_gate_did() -> None:
    assert report_to_dict(make_report(gates=Gates(min_agreement=98)))["passed"] is True
    assert report_to_dict(make_report(gates=Gates(min_agreement=99)))["passed"] is False


def test_json_holds_no_infinity() -> None:
    json.dumps(report_to_dict(make_report()), allow_nan=False)
