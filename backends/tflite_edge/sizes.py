"""Sizes of axes of which the batch may be open until the model runs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce

MANY = 97
"""The batch that stands for "any": a prime that no axis of a network is likely to have as a factor."""


@dataclass(frozen=True)
class Size:
    """Length of an axis at a batch of one and at a batch of ``MANY``; equal unless it grows with the batch."""

    one: int
    many: int

    @property
    def is_open(self) -> bool:
        """Whether it grows with the batch."""
        return self.one != self.many

    def __mul__(self, other: Size) -> Size:
        return Size(self.one * other.one, self.many * other.many)

    def quotient(self, other: Size) -> Size | None:
        """``self / other`` where that is a whole length at every batch, else None."""
        if not other.one or not other.many or self.one % other.one or self.many % other.many:
            return None
        found = Size(self.one // other.one, self.many // other.many)
        return found if found.many in (found.one, found.one * MANY) else None


ONE = Size(1, 1)


def fixed(length: int) -> Size:
    """The same at every batch."""
    return Size(length, length)


def product(sizes: tuple[Size, ...]) -> Size:
    """Number of elements."""
    return reduce(Size.__mul__, sizes, ONE)
