"""Frozen dataclasses to plain JSON values and back, led by their type hints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from enum import Enum
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def to_plain(value: Any) -> dict[str, Any]:
    """A dataclass as nested dicts and lists of JSON values, in the order of its fields."""
    return cast(dict[str, Any], json.loads(json.dumps(asdict(value), allow_nan=False)))


def from_plain(kind: type[T], raw: Any, where: str = "report", *, complete: bool = True) -> T:
    """Builds a dataclass from what :func:`to_plain` made of it.

    Args:
        kind: a dataclass whose fields are JSON scalars, enums, tuples, optional values or other such dataclasses.
        raw: parsed JSON.
        where: path to ``raw``, for messages.
        complete: every field has to be there; else those with a default may be left out, as in what a person writes.

    Raises:
        ValueError: a field is missing, unknown or of another type; the message holds its path.
    """
    return cast(T, _dataclass(kind, raw, where, complete))


def _value(hint: Any, raw: Any, where: str, complete: bool) -> Any:
    if get_origin(hint) is UnionType:
        if raw is None:
            return None
        hint = next(option for option in get_args(hint) if option is not NoneType)
    if get_origin(hint) is tuple:
        return _tuple(get_args(hint), raw, where, complete)
    if is_dataclass(hint):
        return _dataclass(cast(type[Any], hint), raw, where, complete)
    if issubclass(hint, Enum):
        return _member(hint, raw, where)
    return _scalar(hint, raw, where)


def _dataclass(kind: type[Any], raw: Any, where: str, complete: bool) -> Any:
    if not isinstance(raw, Mapping):
        raise ValueError(f"{where} is {type(raw).__name__}, expected an object")
    hints = get_type_hints(kind)
    names = {entry.name for entry in fields(kind)}
    needed = names if complete else {entry.name for entry in fields(kind) if _has_no_default(entry)}
    for problem, found in (("lacks", needed - raw.keys()), ("has the unknown field", raw.keys() - names)):
        if found:
            raise ValueError(f"{where} {problem} {min(found)!r}")
    given = sorted(names & raw.keys())
    return kind(**{name: _value(hints[name], raw[name], f"{where}.{name}", complete) for name in given})


def _has_no_default(entry: Field[Any]) -> bool:
    return entry.default is MISSING and entry.default_factory is MISSING


def _member(kind: type[Enum], raw: Any, where: str) -> Enum:
    try:
        return kind(raw)
    except ValueError:
        names = ", ".join(str(member.value) for member in kind)
        raise ValueError(f"{where} is {raw!r}, expected one of {names}") from None


def _tuple(options: tuple[Any, ...], raw: Any, where: str, complete: bool) -> tuple[Any, ...]:
    if not isinstance(raw, list):
        raise ValueError(f"{where} is {type(raw).__name__}, expected a list")
    hints = [options[0]] * len(raw) if options[-1] is Ellipsis else list(options)
    if len(hints) != len(raw):
        raise ValueError(f"{where} has {len(raw)} entries, expected {len(hints)}")
    pairs = enumerate(zip(hints, raw, strict=True))
    return tuple(_value(hint, entry, f"{where}[{index}]", complete) for index, (hint, entry) in pairs)


def _scalar(hint: type[Any], raw: Any, where: str) -> Any:
    if hint is float and isinstance(raw, int) and not isinstance(raw, bool):
        return float(raw)
    if type(raw) is not hint:
        raise ValueError(f"{where} is {type(raw).__name__}, expected {hint.__name__}")
    return raw
