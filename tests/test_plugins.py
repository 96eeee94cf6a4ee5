"""Discovery of targets and calibrators, and the nearest right name."""

from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest

from zsq_export import plugins
from zsq_export.calib.registry import calibrator_names, get_calibrator
from zsq_export.errors import UsageError, ZsqError
from zsq_export.plugins import Registry
from zsq_export.suggestions import did_you_mean

REGISTRY = Registry(group="some.group", kind="colour")


@pytest.fixture
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        EntryPoint("red", "collections:OrderedDict", "some.group"),
        EntryPoint("broken", "no_such_module:Thing", "some.group"),
        EntryPoint("same", "collections:Counter", "some.group"),
        EntryPoint("same", "zsq_export.errors:ZsqError", "some.group"),
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: EntryPoints(found).select(group=group))


@pytest.mark.usefixtures("entries")
def test_names_are_listed_without_importing() -> None:
    assert REGISTRY.names() == ("broken", "red", "same")
    assert REGISTRY.get("red") == {}


@pytest.mark.usefixtures("entries")
def test_a_wrong_name_gets_the_nearest_one() -> None:
    with pytest.raises(UsageError, match=r"there is no colour 'rde' \(did you mean red"):
        REGISTRY.get("rde")


@pytest.mark.usefixtures("entries")
def test_a_plugin_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(ZsqError, match=r"broken.*no_such_module"):
        REGISTRY.get("broken")


@pytest.mark.usefixtures("entries")
def test_the_projects_own_entry_cannot_be_replaced() -> None:
    with pytest.raises(TypeError, match="message"):
        REGISTRY.get("same")


def test_every_calibrator_of_the_project_is_registered() -> None:
    assert {"auto", "bn-inversion", "data", "prior", "random"} <= set(calibrator_names())
    assert get_calibrator("random").name == "random"


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("opnvino", "did you mean openvino?"),
        ("OpenVINO", "did you mean openvino?"),
        ("zzz", "there are: onnx, openvino"),
    ],
)
def test_hints(wrong: str, hint: str) -> None:
    assert did_you_mean(wrong, ["openvino", "onnx"]) == hint


def test_no_names_no_hint() -> None:
    assert did_you_mean("x", []) == ""
