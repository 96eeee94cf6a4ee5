"""The digits network through the real runtimes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from digits import DigitsModel

from zsq_export.backends.base import Probe
from zsq_export.backends.onnxruntime_cpu import OnnxRuntimeCpu
from zsq_export.backends.registry import get_backend
from zsq_export.errors import TargetUnavailableError, UsageError
from zsq_export.execution.ort_session import OrtSession
from zsq_export.graph.prepared import InputInfo
from zsq_export.preprocessing import Preprocessing
from zsq_export.progress import silent
from zsq_export.quantization.metrics import sqnr_db
from zsq_export.reporting.html import render_html
from zsq_export.reporting.report_json import read_report, report_schema, report_to_dict, write_report
from zsq_export.reporting.sections.entry import Entry
from zsq_export.validation.data import load_labelled
from zsq_export.validation.fidelity import measure_outputs
from zsq_export.validation.figures import InputOrigin
from zsq_export.validation.gates import Gates
from zsq_export.validation.latency import LatencyOptions
from zsq_export.validation.layers import measure_layers, shared_layers
from zsq_export.validation.ranges import RangeMeter
from zsq_export.validation.report_types import ValidationReport
from zsq_export.validation.samples import Samples, samples_from_arrays
from zsq_export.validation.validate import Subject, ValidationOptions, validate_artifact

MakeSubject = Callable[[str], Subject]
QUICK = ValidationOptions(latency=None, threads=1)


def real(model: DigitsModel, count: int = 500) -> Samples:
    return samples_from_arrays(
        {"x": model.x_test[:count]}, description="digits", origin=InputOrigin.REAL, labels=model.y_test[:count]
    )


def validated(make: MakeSubject, model: DigitsModel, target: str, options: ValidationOptions) -> ValidationReport:
    if not get_backend(target).probe().available:
        pytest.skip(f"{target} is not installed")
    return validate_artifact(make(target), get_backend(target), real(model), options)


@pytest.fixture(scope="session")
def subject(digits_subject: MakeSubject) -> Subject:
    return digits_subject("onnxruntime")


@pytest.mark.parametrize("target", ["openvino", "onnxruntime"])
def test_whole_report_on_a_real_runtime(
    digits_subject: MakeSubject, digits_model: DigitsModel, target: str, tmp_path: Path
) -> None:
    gates = Gates(min_agreement=97, max_accuracy_drop=1, min_speedup=1000)
    options = ValidationOptions(gates=gates, latency=LatencyOptions(seconds=0.3), threads=1)
    report = validated(digits_subject, digits_model, target, options)
    assert report.agreement is not None and report.agreement.percent > 97 and report.agreement.samples == 500
    assert report.accuracy is not None and report.accuracy.top1_float > 95 and abs(report.accuracy.drop) <= 1
    assert report.outputs[0].sqnr_db > 20 and report.lowering[0].sqnr_db > report.outputs[0].sqnr_db
    assert report.executed.int8_mac_share is not None and report.executed.int8_mac_share > 0.9
    assert report.latency is not None and len(report.latency.series) >= 2
    assert report.latency.series[0].precision == "f32" and report.latency.series[-1].precision is None
    assert [gate.passed for gate in report.gates] == [True, True, False] and not report.passed
    jsonschema.validate(report_to_dict(report), report_schema())
    write_report(report, tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report
    assert "real data" in render_html([Entry(label=report.target, report=report)])


def test_figures_equal_a_plain_computation(subject: Subject, digits_model: DigitsModel) -> None:
    report = validate_artifact(subject, OnnxRuntimeCpu(), real(digits_model), QUICK)
    floats, quantized = (
        ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": digits_model.x_test})[0]
        for path in (digits_model.path, subject.entry)
    )
    assert report.outputs[0].sqnr_db == pytest.approx(sqnr_db(floats, quantized), abs=0.05)
    same = 100 * np.mean(floats.argmax(1) == quantized.argmax(1))
    assert report.agreement is not None and report.agreement.percent == pytest.approx(same, abs=0.3)
    assert report.accuracy is not None
    assert report.accuracy.top1_float == pytest.approx(100 * np.mean(floats.argmax(1) == digits_model.y_test))


def test_the_reference_is_the_users_file_and_not_our_folded_model(subject: Subject, digits_model: DigitsModel) -> None:
    """A folding that went wrong must show."""
    broken = subject.prepared.folded.clone()
    weight = next(value for value in broken.graph.initializers.values() if value.name and "weight" in value.name)
    assert weight.const_value is not None
    weight.const_value = ir.tensor(np.zeros_like(weight.const_value.numpy()))
    report = validate_artifact(
        replace(subject, prepared=replace(subject.prepared, folded=broken)), OnnxRuntimeCpu(), real(digits_model), QUICK
    )
    assert report.accuracy is not None and report.accuracy.top1_float > 95 and report.outputs[0].sqnr_db > 20
    assert report.layers is not None and report.layers.layers[0].sqnr_db < 5


def test_same_inputs_give_the_same_report(subject: Subject, digits_model: DigitsModel) -> None:
    first, second = (validate_artifact(subject, OnnxRuntimeCpu(), real(digits_model, 70), QUICK) for _ in range(2))
    assert first == second


def test_without_labels_fidelity_is_marked_as_synthetic(subject: Subject, digits_model: DigitsModel) -> None:
    samples = samples_from_arrays({"x": digits_model.x_test[:40]})
    options = replace(QUICK, gates=Gates(max_accuracy_drop=1, min_agreement=50))
    report = validate_artifact(subject, OnnxRuntimeCpu(), samples, options)
    assert report.accuracy is None and report.agreement is not None and report.layers is not None
    origins = {report.inputs.origin, report.agreement.inputs, report.outputs[0].inputs, report.layers.inputs}
    assert origins == {InputOrigin.SYNTHETIC}
    assert {gate.name: gate.passed for gate in report.gates} == {"min-agreement": True, "max-accuracy-drop": False}


def test_layers_are_those_of_a_plain_computation(subject: Subject, digits_model: DigitsModel) -> None:
    assert subject.qdq is not None
    report, _ = measure_layers(
        subject.prepared.folded, subject.qdq, real(digits_model, 20), subject.prepared.inputs, batch_size=8,
        watch=RangeMeter((), {}), progress=silent,
    )  # fmt: skip
    assert [layer.sqnr_db for layer in report.layers] == sorted(layer.sqnr_db for layer in report.layers)
    assert {"Conv", "Gemm", "Relu", "Add"} <= {layer.op_type for layer in report.layers}
    last = max(report.layers, key=lambda layer: layer.position)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    floats, quantized = (
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]).run(
            [last.tensor], {"x": digits_model.x_test[:20]}
        )[0]
        for path in (digits_model.path, subject.qdq)
    )
    assert last.sqnr_db == pytest.approx(sqnr_db(floats, quantized), abs=0.05)


def test_layers_shared_by_both_models_leave_out_quantization_itself(subject: Subject) -> None:
    assert subject.qdq is not None
    layers = shared_layers(subject.prepared.folded, ir.load(subject.qdq))
    assert len(layers) >= 10 and not {layer.op_type for layer in layers} & {"QuantizeLinear", "DequantizeLinear"}


def test_without_a_qdq_model_there_are_no_layers(subject: Subject, digits_model: DigitsModel) -> None:
    report = validate_artifact(replace(subject, qdq=None), OnnxRuntimeCpu(), real(digits_model, 10), QUICK)
    assert report.layers is None and report.lowering == () and report.outputs


def test_a_missing_runtime_has_its_own_exit_code(subject: Subject, digits_model: DigitsModel) -> None:
    class Missing(OnnxRuntimeCpu):
        def probe(self) -> Probe:
            return Probe(available=False, runtime="", device="", hint="install it")

    with pytest.raises(TargetUnavailableError, match="install it") as error:
        validate_artifact(subject, Missing(), real(digits_model, 4), QUICK)
    assert error.value.exit_code == 4


def test_a_batch_larger_than_the_data_is_filled_up(subject: Subject, digits_model: DigitsModel) -> None:
    options = replace(QUICK, latency=LatencyOptions(seconds=0.05, batch_size=8))
    report = validate_artifact(subject, OnnxRuntimeCpu(), real(digits_model, 3), options)
    assert report.latency is not None and report.latency.batch_size == 8


def test_a_batch_that_the_model_cannot_take_is_refused(subject: Subject, digits_model: DigitsModel) -> None:
    fixed = replace(subject.prepared, inputs=(replace(subject.prepared.inputs[0], shape=(1, 1, 16, 16)),))
    options = replace(QUICK, latency=LatencyOptions(batch_size=8))
    with pytest.raises(UsageError, match="fixed batch size of 1"):
        validate_artifact(replace(subject, prepared=fixed), OnnxRuntimeCpu(), real(digits_model, 3), options)


@pytest.mark.assets
def test_float_accuracy_of_a_known_network_on_known_data(assets_dir: Path, tmp_path: Path) -> None:
    """The whole way of real pixels: 91.50 % is what the network's own preprocessing gives."""
    with np.load(assets_dir / "cifar10" / "cifar10_test1000.npz") as data:
        np.savez(tmp_path / "cifar10.npz", x=data["x"], y=data["y"])
    network = assets_dir / "cifar10" / "resnet20_akamaster.onnx"
    spec = Preprocessing(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    session = OrtSession(network, threads=1)
    info = InputInfo(name=next(iter(session.input_shapes)), shape=(None, 3, 32, 32))
    samples = load_labelled(tmp_path / "cifar10.npz", info, spec)
    accuracy = measure_outputs(session.run, session.run, samples, 50, silent).accuracy
    assert accuracy is not None and accuracy.top1_float == pytest.approx(91.5)
    assert (accuracy.drop, accuracy.drop_standard_error) == (0, 0)
