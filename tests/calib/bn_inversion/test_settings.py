"""Samples are cut so that large models take bounded time."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsq_export.calib.base import Effort
from zsq_export.calib.bn_inversion.settings import SETTINGS, InversionSettings

SMALLEST = 8


@given(effort=st.sampled_from(list(Effort)), elements=st.integers(0, 10**10))
def test_the_budget_is_kept_down_to_the_smallest_number_of_samples(effort: Effort, elements: int) -> None:
    full = SETTINGS[effort]
    fitted = full.fitted(elements)
    assert SMALLEST <= fitted.samples <= full.samples
    assert fitted.batch == min(full.batch, fitted.samples)
    assert fitted.steps == full.steps
    assert fitted.samples == SMALLEST or fitted.samples * fitted.steps * elements <= full.budget
    more = (fitted.samples + 1) * fitted.steps * elements
    assert fitted.samples == full.samples or more > full.budget


def test_small_models_get_all_samples() -> None:
    for effort, full in SETTINGS.items():
        assert full.fitted(1000) == full, effort


def test_more_effort_is_more_samples_and_steps() -> None:
    ordered = [SETTINGS[effort] for effort in (Effort.FAST, Effort.BALANCED, Effort.THOROUGH)]
    for less, more in itertools.pairwise(ordered):
        assert (less.samples, less.steps, less.budget) < (more.samples, more.steps, more.budget)
        assert less.steps < more.steps
        assert less.budget < more.budget


@pytest.mark.parametrize(("elements", "samples"), [(100, 10), (10, 64), (10**9, 8)])
def test_known_cuts(elements: int, samples: int) -> None:
    assert InversionSettings(samples=64, batch=32, steps=10, budget=1e4).fitted(elements).samples == samples
