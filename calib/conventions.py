"""The usual input conventions of image networks, as data."""

from __future__ import annotations

from zsq_export.preprocessing import ChannelOrder, Origin, Preprocessing

_PIXEL = 1.0 / 255.0


def _convention(name: str, mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocessing:
    return Preprocessing(mean=mean, std=std, name=name, origin=Origin.DETECTED)


NORMALISED = _convention("imagenet mean/std", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""torchvision's; its value range contains those of the other conventions near zero, so it is the one to assume."""

RAW = _convention("0..255", (0.0,) * 3, (_PIXEL,) * 3)

COLOUR_CONVENTIONS = (
    NORMALISED,
    _convention("-1..1", (0.5,) * 3, (0.5,) * 3),
    _convention("0..1", (0.0,) * 3, (1.0,) * 3),
    RAW,
    _convention("imagenet mean, 0..255", (0.4851, 0.4580, 0.4077), (_PIXEL,) * 3),
    _convention("-128..127", (128 * _PIXEL,) * 3, (_PIXEL,) * 3),
    _convention("-0.5..0.5", (0.5,) * 3, (1.0,) * 3),
    _convention("cifar mean/std", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    _convention("cifar mean/std (0.2023)", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
)
"""In order of preference: of two that fit about equally well, the earlier is taken."""

GREY_CONVENTIONS = (
    _convention("mean/std", (0.449,), (0.226,)),
    _convention("-1..1", (0.5,), (0.5,)),
    _convention("0..1", (0.0,), (1.0,)),
    _convention("0..255", (0.0,), (_PIXEL,)),
    _convention("-128..127", (128 * _PIXEL,), (_PIXEL,)),
    _convention("mnist mean/std", (0.1307,), (0.3081,)),
)


def reversed_planes(convention: Preprocessing) -> Preprocessing:
    """The same constants for a model that wants BGR."""
    return Preprocessing(
        mean=convention.mean[::-1],
        std=convention.std[::-1],
        channel_order=ChannelOrder.BGR,
        name=f"{convention.name}, BGR",
        origin=convention.origin,
    )


def value_range(convention: Preprocessing) -> tuple[float, float]:
    """Smallest and largest value that a pixel of 0..255 can become."""
    black = [-mean / std for mean, std in zip(convention.mean, convention.std, strict=True)]
    white = [(1.0 - mean) / std for mean, std in zip(convention.mean, convention.std, strict=True)]
    return min(*black, *white), max(*black, *white)
