"""SVG elements as escaped text."""

from __future__ import annotations

from markupsafe import Markup, escape

Attribute = str | float | int | None


def element(name: str, *children: str, **attributes: Attribute) -> Markup:
    """One element.

    Args:
        name: of the tag.
        children: text, which is escaped, or elements, which are not.
        attributes: numbers are written short; a trailing underscore is dropped (``class_``), an inner one becomes a
            hyphen; None leaves the attribute out.
    """
    inner = Markup("").join(children)
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(number(value) if isinstance(value, float) else value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{inner}</{name}>")


def picture(label: str, *children: str, **attributes: Attribute) -> Markup:
    """An ``svg`` element that a screen reader names by ``label``."""
    return element("svg", element("title", label), *children, role="img", aria_label=label, **attributes)


def number(value: float) -> str:
    """At most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def percent(value: float) -> str:
    """A share (0..1) as an SVG length."""
    return f"{number(100 * value)}%"
