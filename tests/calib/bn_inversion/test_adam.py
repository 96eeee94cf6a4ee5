"""Our Adam against torch's."""

from __future__ import annotations

import torch

from zsq_export.calib.bn_inversion.adam import BETAS, Adam


def test_it_moves_as_torchs_does() -> None:
    start = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    ours, theirs = start.clone().requires_grad_(), start.clone().requires_grad_()
    optimiser, reference = Adam(ours), torch.optim.Adam([theirs], betas=BETAS)
    for rate in (0.1, 0.05, 0.02, 0.01):
        reference.param_groups[0]["lr"] = rate
        for variable in (ours, theirs):
            variable.grad = None
            (variable**4).sum().backward()
        reference.step()
        with torch.no_grad():
            optimiser.step(rate)
    torch.testing.assert_close(ours, theirs)
