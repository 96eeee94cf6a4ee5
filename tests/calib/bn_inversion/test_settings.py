"""Fewer inputs are inverted where the model is large, so that it takes bounded time."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zsq_export.calib.base import Device, Effort
from zsq_export.calib.bn_inversion.settings import (
    FEWEST_INVERTED,
    GPU_ELEMENTS,
    QUICK,
    SETTINGS,
    InversionSettings,
    settings_for,
)


@given(effort=st.sampled_from(list(Effort)), samples=st.integers(1, 1000), elements=st.integers(1, 10**10))
def test_the_budget_is_kept_down_to_the_fewest_inputs(effort: Effort, samples: int, elements: int) -> None:
    full = replace(SETTINGS[effort], samples=samples, enough=SETTINGS[effort].inverted)
    fitted = full.fitted(elements)
    most = min(samples, full.inverted)
    assert (fitted.samples, fitted.steps) == (samples, full.steps)
    assert min(FEWEST_INVERTED, most) <= fitted.inverted <= most
    assert fitted.inverted <= FEWEST_INVERTED or fitted.inverted * fitted.steps * elements <= full.budget
    assert fitted.inverted == most or (fitted.inverted + 1) * fitted.steps * elements > full.budget


@given(inverted=st.integers(1, 1000), batch=st.integers(1, 64))
def test_batches_are_even(inverted: int, batch: int) -> None:
    """A last batch of one input would have no statistics to speak of."""
    wanted = InversionSettings(samples=1000, inverted=inverted, batch=batch, steps=1, budget=1e12, enough=1000)
    fitted = wanted.fitted(1)
    assert 1 <= fitted.batch <= batch
    count = -(-inverted // fitted.batch)
    assert count == -(-inverted // batch)
    assert fitted.batch * count - inverted < count


def test_models_that_would_take_long_get_enough_inputs_and_none_beside_them() -> None:
    full = InversionSettings(samples=64, inverted=60, batch=60, steps=10, budget=1e12, enough=40)
    quick, slow = int(QUICK / 600), int(QUICK / 600) + 1
    assert (full.fitted(quick).samples, full.fitted(quick).inverted) == (64, 60)
    assert (full.fitted(slow).samples, full.fitted(slow).inverted) == (40, 40)


def test_small_models_are_inverted_in_full() -> None:
    for effort, full in SETTINGS.items():
        assert full.fitted(1000) == full, effort


def test_a_gpu_with_time_inverts_all_inputs_in_large_batches() -> None:
    assert all(settings_for(effort, Device.CPU) == full for effort, full in SETTINGS.items())
    wanted = replace(settings_for(Effort.THOROUGH, Device.CUDA), samples=256)
    for elements in (1000, 4_000_000, 12_000_000):
        fitted = wanted.fitted(elements)
        assert (fitted.samples, fitted.inverted) == (256, 256)
        assert fitted.batch * elements <= GPU_ELEMENTS and fitted.batch >= 32
        assert fitted.at_once * fitted.batch * elements <= GPU_ELEMENTS
    assert wanted.fitted(1000).at_once == 8 and wanted.fitted(4_000_000).at_once == 1
    quick = settings_for(Effort.BALANCED, Device.CUDA).fitted(4_000_000)
    assert quick.inverted == SETTINGS[Effort.BALANCED].fitted(4_000_000).inverted and quick.at_once > 1


def test_more_effort_is_more_samples_and_steps() -> None:
    ordered = [SETTINGS[effort] for effort in (Effort.FAST, Effort.BALANCED, Effort.THOROUGH)]
    for less, more in itertools.pairwise(ordered):
        assert less.samples < more.samples
        assert less.steps < more.steps
        assert less.budget < more.budget


@pytest.mark.parametrize(("elements", "inverted", "batch"), [(100, 10, 10), (10, 60, 30), (10**9, 8, 1)])
def test_known_cuts(elements: int, inverted: int, batch: int) -> None:
    full = InversionSettings(samples=64, inverted=60, batch=32, steps=10, budget=1e4, enough=60)
    fitted = full.fitted(elements)
    assert (fitted.samples, fitted.inverted, fitted.batch) == (64, inverted, batch)


@pytest.mark.parametrize(("elements", "evidence"), [(1, 16), (20, 10), (10**9, 8)])
def test_large_models_get_fewer_evidence_inputs(elements: int, evidence: int) -> None:
    full = InversionSettings(samples=64, inverted=60, batch=32, steps=10, budget=6e3, enough=60)
    assert full.fitted(elements).evidence == evidence
