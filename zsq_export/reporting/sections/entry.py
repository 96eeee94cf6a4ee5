"""One artifact on the page."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from zsq_export.validation.report_types import ValidationReport

STYLES = 6
"""Colours that the page has for artifacts; with more they repeat."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One report and how the page calls it.

    Attributes:
        label: the target, or the folder's name where two reports are of one target.
        report: what was measured.
        pictures: PNG with thumbnails of the calibration's inputs; None if there is none.
        index: place on the page, from 0; picks the colour.
    """

    label: str
    report: ValidationReport
    pictures: bytes | None = field(default=None, repr=False)
    index: int = 0

    @property
    def style(self) -> str:
        """Class that gives the entry's colour."""
        return f"s{self.index % STYLES}"

    @property
    def pictures_uri(self) -> str:
        """The thumbnails as a data URI."""
        return "data:image/png;base64," + base64.b64encode(self.pictures or b"").decode()

    @property
    def pictures_key(self) -> str:
        """Equal for equal thumbnails."""
        return hashlib.sha256(self.pictures or b"").hexdigest()
