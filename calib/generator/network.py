"""The generator itself. Source: Jeon et al., "Genie: Show Me the Data for Quantization", CVPR 2023, section 3.1 and
appendix; the class embedding after Xu et al., "Generative Low-bitwidth Data Free Quantization" (GDFQ), ECCV 2020."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEAN, DEVIATION = 0.45, 0.26
"""Of photographs, in 0..1: what the generator's normalised planes are mapped to."""


class PictureGenerator(nn.Module):
    """Latent -> a quarter-size map -> twice upsampled and convolved -> planes in 0..1.

    Args:
        channels, height, width: of the pictures.
        features: channels of the first map.
        latent: length of the latent.
        classes: embeds a class into each latent; 0: unconditional.
    """

    def __init__(self, *, channels: int, height: int, width: int, features: int, latent: int, classes: int) -> None:
        super().__init__()
        self._sides = height, width
        self._small = max(1, -(-height // 4)), max(1, -(-width // 4))
        self._features = features
        self.embedding = nn.Embedding(classes, latent) if classes else None
        self.first = nn.Linear(latent, features * self._small[0] * self._small[1])
        self.body = nn.Sequential(
            nn.BatchNorm2d(features),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(features, features, 3, padding=1),
            nn.BatchNorm2d(features),
            nn.LeakyReLU(0.2),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(features, features // 2, 3, padding=1),
            nn.BatchNorm2d(features // 2),
            nn.LeakyReLU(0.2),
            nn.Conv2d(features // 2, channels, 3, padding=1),
            nn.BatchNorm2d(channels, affine=False),
        )

    def forward(self, latents: Tensor, classes: Tensor | None) -> Tensor:
        """Pictures float32 [samples, channels, height, width] in 0..1.

        Args:
            latents: [samples, latent].
            classes: int64 [samples]; None: unconditional.
        """
        mixed = latents if self.embedding is None or classes is None else latents * (1 + self.embedding(classes))
        maps = self.first(mixed).reshape(len(latents), self._features, *self._small)
        planes = self.body(maps)[:, :, : self._sides[0], : self._sides[1]]
        return torch.clamp(MEAN + DEVIATION * planes, 0.0, 1.0)
