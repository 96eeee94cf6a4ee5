"""Options of targets: what a target refuses, and how they are written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from zsq_export.backends.options import (
    FloatPrecision,
    IoLayout,
    IoType,
    Profile,
    ShapeRanges,
    TargetOptions,
    configure,
    parse_shape,
    shape_text,
)
from zsq_export.backends.registry import backend_names, get_backend
from zsq_export.errors import PlanError, UsageError
from zsq_export.planning.schemes import Scheme

EVERYTHING = TargetOptions(
    scheme=Scheme.FP8,
    profile=Profile.INT8_ONLY,
    io=IoType.INT8,
    layout=IoLayout.NHWC,
    float_precision=FloatPrecision.BF16,
    shapes=ShapeRanges(minimum=(("in/put; =x", (1, 3)),), maximum=(("in/put; =x", (8, 3)), ("", (2,)))),
    workspace_mib=512,
    timing_cache=Path("cache"),
    version_compatible=True,
    hardware_compatible=False,
    compute_capabilities=("8.9", "12.0"),
)


def test_settings_survive_being_written() -> None:
    read = TargetOptions.from_settings(EVERYTHING.settings())
    assert read == TargetOptions(
        **{name: getattr(EVERYTHING, name) for name in EVERYTHING.given() if name not in ("scheme", "timing_cache")}
    )
    assert TargetOptions().settings() == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("profil", "cpu"),
        ("profile", "gpu"),
        ("workspace_mib", "much"),
        ("hardware_compatible", "maybe"),
        ("shapes", "[1, 2]"),
        ("shapes", "{"),
    ],
)
def test_unreadable_settings_are_named(name: str, text: str) -> None:
    with pytest.raises(PlanError, match=name):
        TargetOptions.from_settings(((name, text),))


def test_defaults_fill_in_what_is_not_given() -> None:
    defaults = TargetOptions(scheme=Scheme.INT8, io=IoType.FLOAT)
    schemes = (Scheme.INT8, Scheme.FP16)
    made = configure(TargetOptions(io=IoType.INT8), defaults, target="t", schemes=schemes)
    assert made == TargetOptions(scheme=Scheme.INT8, io=IoType.INT8)
    cached = TargetOptions(timing_cache=Path("c"))
    made = configure(cached, defaults, target="t", schemes=schemes, without_default=("timing_cache",))
    assert made.timing_cache == Path("c")


def test_every_foreign_option_is_named() -> None:
    defaults = TargetOptions(scheme=Scheme.INT8, io=IoType.FLOAT)
    with pytest.raises(
        UsageError, match=r"the target t has no option --profile, --io-layout .it has --scheme, --io."
    ) as caught:
        configure(
            TargetOptions(profile=Profile.CPU, layout=IoLayout.NHWC), defaults, target="t", schemes=(Scheme.INT8,)
        )
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="no scheme fp8"):
        configure(TargetOptions(scheme=Scheme.FP8), defaults, target="t", schemes=(Scheme.INT8,))


@pytest.mark.parametrize("text", ["1x3x224x224", "x=1", "in/put:0=1x3"])
def test_shapes_are_read_as_written(text: str) -> None:
    assert shape_text(parse_shape(text)) == text


@pytest.mark.parametrize("text", ["", "x=", "0x3", "x=1x-3", "1x3x", "x:1x3"])
def test_wrong_shapes_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no shape"):
        parse_shape(text)


@pytest.mark.parametrize("name", backend_names())
def test_a_backend_is_configured_with_its_default_scheme(name: str) -> None:
    backend = get_backend(name)
    assert backend.options.scheme is backend.schemes[0]
    assert backend.configured(TargetOptions()).options == backend.options
    for scheme in backend.schemes:
        configured = backend.configured(TargetOptions(scheme=scheme))
        assert configured.options.scheme is configured.placement().scheme is scheme
    for scheme in set(Scheme) - set(backend.schemes):
        with pytest.raises(UsageError, match=scheme.value):
            backend.configured(TargetOptions(scheme=scheme))


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_the_cpu_targets_have_nothing_else(name: str) -> None:
    with pytest.raises(UsageError, match="--workspace"):
        get_backend(name).configured(TargetOptions(workspace_mib=1))
