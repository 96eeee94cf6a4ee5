"""What to do instead, where several parts give the same advice."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

KEEP_BATCHNORM = (
    "to keep BatchNorm at export: torch.onnx.export(..., dynamo=False, training=torch.onnx.TrainingMode.PRESERVE, "
    "do_constant_folding=False) on a model in eval(), or dynamo=True, optimize=False"
)


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """A hint for a name that does not exist.

    Args:
        wrong: what was typed.
        names: the names there are.

    Returns:
        "did you mean X?" where one name is close, else the list of all names, or "" if there are none.
    """
    known = sorted(names)
    close = get_close_matches(wrong.lower(), known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]}?"
    return f"there are: {', '.join(known)}" if known else ""
