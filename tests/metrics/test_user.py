from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from zsq_export.errors import DataError, UsageError
from zsq_export.metrics.base import DataForm, MetricBatch
from zsq_export.metrics.choose import choose_metric
from zsq_export.metrics.running import MetricRun
from zsq_export.validation.figures import InputOrigin

CODE = """
import numpy as np

def error(outputs, targets, inputs):
    return [abs(y[0] - t) + 0 * x[0] for y, t, x in zip(outputs["y"], targets, inputs["x"])]

error.unit = "mm"
error.higher_is_better = False

class Largest:
    def __init__(self):
        self.values = []
    def add(self, outputs, targets, inputs):
        self.values += list(outputs["y"][:, 0])
    def result(self):
        return max(self.values)

def one_number(outputs, targets, inputs):
    return 1.0

def broken(outputs, targets, inputs):
    raise KeyError("logits")

class NoResult:
    add = None

number = 3
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return str(path)


def run(text: str, form: DataForm = DataForm.VALUES) -> MetricRun:
    found = MetricRun([choose_metric(text)], InputOrigin.REAL, form)
    for start in (0, 2):
        inputs = {"x": np.zeros((2, 1), np.float32)}
        reference = {"y": np.float32([[start], [start + 1]])}
        batch = MetricBatch(inputs=inputs, targets=np.zeros(2), reference=reference)
        found.add(reference, {"y": reference["y"] + np.float32(1)}, batch)
    return found


def test_a_function_gives_one_number_per_sample(file: str) -> None:
    (result,) = run(f"{file}:error").result()
    assert (result.name, result.unit, result.higher_is_better) == ("error", "mm", False)
    assert (result.float_value, result.quantized_value, result.drop, result.samples) == (1.5, 2.5, 1.0, 4)
    assert result.drop_standard_error == 0, "every sample loses the same: the difference is a paired one"


def test_a_class_gives_one_number_for_all(file: str) -> None:
    (result,) = run(f"{file}:Largest", DataForm.ANYTHING).result()
    assert (result.float_value, result.quantized_value, result.drop) == (3.0, 4.0, -1.0)
    assert result.drop_standard_error is None


def test_an_installed_module_is_found_by_name() -> None:
    assert choose_metric("math:sqrt").name == "math:sqrt"


@pytest.mark.parametrize(
    ("name", "message"),
    [("one_number", "1 numbers for 2 samples"), ("broken", "KeyError: 'logits'"), ("NoResult", "no methods add and")],
)
def test_what_goes_wrong_in_ones_own_code_is_said_in_one_line(file: str, name: str, message: str) -> None:
    with pytest.raises((DataError, UsageError), match=message) as caught:
        run(f"{file}:{name}").result()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["{file}:nothing", "{file}:number", "nowhere.py:f", "no_such_module_here:f"])
def test_what_is_not_there_is_a_usage_error(file: str, text: str) -> None:
    with pytest.raises(UsageError):
        choose_metric(text.format(file=file))


def test_a_wrong_name_gets_the_nearest_right_one() -> None:
    with pytest.raises(UsageError, match="psnr"):
        choose_metric("psrn")


@pytest.mark.parametrize("content", ["", "[]", '{"bordr": 3}', '{"border": "3"}', '{"border": -1}'])
def test_a_spec_that_cannot_be_read_is_a_usage_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "spec.json").write_text(content)
    with pytest.raises(UsageError, match="spec") as caught:
        choose_metric(f"psnr={tmp_path / 'spec.json'}")
    assert "\n" not in str(caught.value)


def test_a_spec_sets_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "spec.json").write_text('{"border": 3, "levels": null}')
    assert "border=3" in repr(choose_metric(f"psnr={tmp_path / 'spec.json'}"))


def test_data_of_another_form_is_refused_before_anything_runs() -> None:
    with pytest.raises(DataError, match="psnr needs samples with pictures or values, these have classes"):
        MetricRun([choose_metric("psnr")], InputOrigin.REAL, DataForm.CLASSES)
    with pytest.raises(DataError, match="there are none"):
        MetricRun([choose_metric("top1")], InputOrigin.SYNTHETIC, DataForm.ANYTHING)
