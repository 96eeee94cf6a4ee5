"""From a block of the zero-shot benchmark to its cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from zsq_cells import Cell, Protocol, Source
from zsq_data import SEEDS, SUBJECTS, Subject

UNSEEDED = frozenset({"data", "moments"})
REAL_SAMPLES, REAL_SAMPLES_LARGE = 256, 64
STEPS_LARGE = {"cpu": 30, "cuda": 100}
"""Of learned rounding on the ImageNet networks, by device: 100 take seven minutes on two cores."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """Cells that answer one question.

    Attributes:
        name: for ``--block``.
        question: what it answers.
        networks: names; () means all.
        sources: (calibrator, effort, samples; 0: its own default), with further fields of Source where needed.
        roundings, bits, protocols: combined freely.
        seeds: one source each.
        redrawn: real data have a seed, too: other inputs for each.
        steps: of a learned rounding on a large network; 0: its default; None: those of ``STEPS_LARGE``.
        essential: a promise rests on it; goes first.
    """

    name: str
    question: str
    networks: tuple[str, ...] = ()
    sources: tuple[Source, ...]
    roundings: tuple[str, ...]
    bits: tuple[str, ...]
    protocols: tuple[Protocol, ...] = (Protocol.DEPLOYABLE,)
    seeds: tuple[int, ...] = SEEDS
    redrawn: bool = False
    steps: int | None = None
    essential: bool = False

    def cells(self) -> Iterator[Cell]:
        """All that make sense."""
        for item in SUBJECTS:
            if self.networks and item.name not in self.networks:
                continue
            for source, seed in product(self.sources, self.seeds):
                if source.calibrator in UNSEEDED and not self.redrawn and seed != self.seeds[0]:
                    continue
                placed = _placed(source, item, seed)
                for protocol, rounding, bits in product(self.protocols, self.roundings, self.bits):
                    cell = _cell(placed, item, protocol, rounding, bits, self.steps)
                    if cell is not None:
                        yield cell


def _placed(source: Source, item: Subject, seed: int) -> Source:
    """Fewer inputs for large networks on a CPU; real data have no seed of their own, moments neither."""
    samples, slow = source.samples, item.large and source.device == "cpu"
    if source.calibrator == "data":
        samples = source.samples or (REAL_SAMPLES_LARGE if item.large else REAL_SAMPLES)
    elif slow:
        samples = 0
    effort = "balanced" if slow else source.effort
    return replace(source, network=item.name, seed=seed, samples=samples, effort=effort)


def _cell(
    source: Source, item: Subject, protocol: Protocol, rounding: str, bits: str, steps: int | None
) -> Cell | None:
    weights, activations = (int(part) for part in bits[1:].split("a"))
    if rounding == "adaround" and weights == 8:
        return None
    if source.calibrator == "moments" and rounding in {"gptq", "adaround"}:
        rounding = "nearest" if weights == 8 else "squant"
    if steps is None:
        steps = STEPS_LARGE[source.device] if rounding == "adaround" and item.large else 0
    return Cell(
        source=source, protocol=protocol, rounding=rounding, weights=weights, activations=activations, steps=steps
    )


def all_cells(blocks: Sequence[Block]) -> list[Cell]:
    """Of all blocks, each once, in order."""
    return list(dict.fromkeys(cell for block in blocks for cell in block.cells()))
