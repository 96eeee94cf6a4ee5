"""Optimization profiles from open sides."""

from __future__ import annotations

import pytest

from zsq_export.backends.options import NamedShape, ShapeRanges, parse_shape
from zsq_export.backends.tensorrt_gpu.shapes import LARGEST_BATCH, make_profiles
from zsq_export.errors import UsageError

PICTURE = {"x": (None, 3, 32, 32)}
OPEN = {"x": (None, 3, None, None), "y": (1, 4)}


def _shapes(*texts: str) -> tuple[NamedShape, ...]:
    return tuple(parse_shape(text) for text in texts)


def test_an_open_batch_has_a_default() -> None:
    (profile,) = make_profiles(PICTURE, ShapeRanges())
    assert profile.minimum == profile.optimum == (1, 3, 32, 32)
    assert profile.maximum == (LARGEST_BATCH, 3, 32, 32)
    assert make_profiles({"x": (2, 3)}, ShapeRanges()) == ()


def test_what_is_given_counts() -> None:
    ranges = ShapeRanges(
        minimum=_shapes("x=1x3x64x64"), optimum=_shapes("x=4x3x96x96"), maximum=_shapes("x=8x3x128x128")
    )
    (profile,) = make_profiles(OPEN, ranges)
    assert (profile.minimum, profile.optimum, profile.maximum) == ((1, 3, 64, 64), (4, 3, 96, 96), (8, 3, 128, 128))
    only = make_profiles(PICTURE, ShapeRanges(maximum=_shapes("16x3x32x32")))[0]
    assert only.minimum == only.optimum == only.maximum == (16, 3, 32, 32)


@pytest.mark.parametrize(
    ("inputs", "ranges", "message"),
    [
        (OPEN, ShapeRanges(), "'x' is .*x3x.*no default"),
        (PICTURE, ShapeRanges(minimum=_shapes("z=1x3x32x32")), "no input 'z'"),
        (OPEN, ShapeRanges(minimum=_shapes("1x3x32x32")), "names no input"),
        (PICTURE, ShapeRanges(maximum=_shapes("x=1x4x32x32")), "--max-shape x=1x4x32x32 does not fit"),
        (PICTURE, ShapeRanges(optimum=_shapes("x=1x3")), "--opt-shape"),
        (PICTURE, ShapeRanges(minimum=_shapes("x=4x3x32x32"), maximum=_shapes("x=2x3x32x32")), "not in order"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(inputs: dict, ranges: ShapeRanges, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_profiles(inputs, ranges)
