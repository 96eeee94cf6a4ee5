"""Optimization profiles: which shapes an engine takes, from the model's open sides and what the user says of them."""

from __future__ import annotations

from dataclasses import dataclass

from zsq_export.backends.options import NamedShape, ShapeRanges, shape_text
from zsq_export.errors import UsageError
from zsq_export.suggestions import did_you_mean

Shape = tuple[int, ...]
OpenShape = tuple[int | None, ...]

LARGEST_BATCH = 64
"""Of a model whose only open side is the batch, where the user says nothing."""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Smallest, usual and largest shape of one input."""

    name: str
    minimum: Shape
    optimum: Shape
    maximum: Shape


def make_profiles(inputs: dict[str, OpenShape], ranges: ShapeRanges) -> tuple[Profile, ...]:
    """One profile per input with open sides.

    An open batch (axis 0) is 1 to 64, best at 1, unless the user says otherwise. Other open sides have no default.

    Args:
        inputs: graph input name -> sides, None where open.
        ranges: what the user gave. A smallest shape is also the usual one where only it is given, and so on.

    Raises:
        UsageError: a shape that does not fit its input, an unknown input, or an open side that nothing is said of.
    """
    given = [_by_input(shapes, inputs) for shapes in (ranges.minimum, ranges.optimum, ranges.maximum)]
    found = []
    for name, sides in inputs.items():
        own = [shapes.get(name) for shapes in given]
        for option, shape in zip(_OPTIONS, own, strict=True):
            if shape is not None:
                _check(option, name, shape, sides)
        if None in sides:
            found.append(_profile(name, sides, *own))
    return tuple(found)


_OPTIONS = ("--min-shape", "--opt-shape", "--max-shape")


def _by_input(shapes: tuple[NamedShape, ...], inputs: dict[str, OpenShape]) -> dict[str, Shape]:
    found = {}
    for name, sides in shapes:
        if not name and len(inputs) != 1:
            text = shape_text((name, sides))
            raise UsageError(f"the shape {text} names no input", hint=f"write NAME={text}; inputs: {', '.join(inputs)}")
        key = name or next(iter(inputs))
        if key not in inputs:
            raise UsageError(f"the model has no input {key!r}", hint=did_you_mean(key, inputs))
        found[key] = sides
    return found


def _check(option: str, name: str, shape: Shape, sides: OpenShape) -> None:
    fits = len(shape) == len(sides) and all(side in (None, own) for own, side in zip(shape, sides, strict=True))
    if not fits:
        wanted = "x".join("?" if side is None else str(side) for side in sides)
        raise UsageError(f"{option} {shape_text((name, shape))} does not fit the input, which is {wanted}")


def _profile(name: str, sides: OpenShape, low: Shape | None, usual: Shape | None, high: Shape | None) -> Profile:
    if low is None and usual is None and high is None:
        if None in sides[1:]:
            wanted = "x".join("?" if side is None else str(side) for side in sides)
            raise UsageError(
                f"input {name!r} is {wanted}: its open sides beyond the batch have no default",
                hint=f"give --min-shape, --opt-shape and --max-shape {name}=...",
            )
        fixed = tuple(side or 0 for side in sides[1:])
        return Profile(name=name, minimum=(1, *fixed), optimum=(1, *fixed), maximum=(LARGEST_BATCH, *fixed))
    minimum = low or usual or high or ()
    optimum = usual or (minimum if low else high) or ()
    maximum = high or optimum
    if not all(a <= b <= c for a, b, c in zip(minimum, optimum, maximum, strict=True)):
        shapes = " <= ".join(shape_text(("", shape)) for shape in (minimum, optimum, maximum))
        raise UsageError(f"the shapes of input {name!r} are not in order: {shapes}")
    return Profile(name=name, minimum=minimum, optimum=optimum, maximum=maximum)
