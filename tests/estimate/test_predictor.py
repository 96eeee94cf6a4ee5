"""From evidence to a figure, an interval and a word on confidence."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zsq_export.estimate.features import SetFeatures
from zsq_export.estimate.held_out import DRIVEN, FACETS, PICTURES
from zsq_export.estimate.model import probit, share_of
from zsq_export.estimate.predictor import Evidence, fit_of, predict
from zsq_export.validation.forecast import AgreementKind, Confidence


def features(agreement: float, angle: float, sqnr_db: float = 28.0, samples: int = 200) -> SetFeatures:
    """Ten classes, as often as each other."""
    flipped = round((1 - agreement) * samples)
    pairs = tuple((i % 10, (i + (i < flipped)) % 10) for i in range(samples))
    share = 1 - flipped / samples
    return SetFeatures(samples=samples, agreement=share, angle=angle, sqnr_db=sqnr_db, usual=share, classes=pairs)


GOOD = features(0.97, 0.04)
SURE = features(1.0, 0.03, 31.0, samples=30)
BAD = features(0.4, 1.0, 1.5)


def evidence(first: SetFeatures = GOOD, second: SetFeatures = GOOD, driven: SetFeatures | None = SURE) -> Evidence:
    sets = {PICTURES: first, FACETS: second} | ({} if driven is None else {DRIVEN: driven})
    return Evidence(kind=AgreementKind.TOP1, sets=sets, classes=10, mismatch=0.05)


def test_a_faithful_model_is_trusted() -> None:
    found = predict(evidence())
    assert found.percent > 97 and found.low > 94 and found.high <= 100
    assert found.confidence is Confidence.HIGH and not found.reasons
    assert [part.inputs for part in found.parts] == [PICTURES, FACETS, DRIVEN]


def test_a_broken_model_is_called_bad() -> None:
    found = predict(replace(evidence(BAD, BAD, BAD), mismatch=2.0))
    assert found.percent < 75 and found.high - found.low > 10
    assert found.confidence is Confidence.LOW and len(found.reasons) == 3


@settings(max_examples=60, deadline=None)
@given(agreement=st.floats(0.0, 1.0), angle=st.floats(1e-4, 2.0), kind=st.sampled_from(AgreementKind))
def test_the_interval_holds_the_figure(agreement: float, angle: float, kind: AgreementKind) -> None:
    one = features(agreement, angle)
    found = predict(Evidence(kind=kind, sets={PICTURES: one, FACETS: one}, classes=10))
    assert 0 <= found.low <= found.percent <= found.high <= 100
    assert found.coverage == fit_of(kind).coverage


def test_less_noise_predicts_more() -> None:
    angles = (0.0005, 0.01, 0.05, 0.3, 1.0, 1.5)
    agreements = (1.0, 0.99, 0.96, 0.8, 0.4, 0.1)
    sets = [features(share, angle) for share, angle in zip(agreements, angles, strict=True)]
    found = [predict(evidence(one, one, None)).percent for one in sets]
    assert found == sorted(found, reverse=True) and found[0] > 99.9 and found[-1] < 15


def test_close_outputs_flip_in_proportion_to_their_angle_and_others_have_one_level() -> None:
    angles = (0.004, 0.008, 0.016, 0.1, 0.15)
    found = [100 - predict(evidence(*[features(0.97, angle)] * 2, None)).percent for angle in angles]
    assert found[1] == pytest.approx(2 * found[0], abs=0.1) and found[2] == pytest.approx(4 * found[0], abs=0.2)
    assert found[3] == found[4] < 2


def test_values_are_expected_as_they_were_seen() -> None:
    seen = {PICTURES: features(0.98, 0.02), FACETS: features(0.96, 0.02)}
    assert predict(Evidence(kind=AgreementKind.VALUES, sets=seen)).percent == pytest.approx(97.0)


def test_nothing_beyond_chance_is_a_guess() -> None:
    found = predict(evidence(features(0.1, 1.5), features(0.1, 1.5), features(0.1, 1.5)))
    assert 9 < found.percent < 13 and found.low < 10 < found.high < 35 and found.confidence is Confidence.LOW


def test_one_favourite_class_is_no_agreement() -> None:
    """As measured on keyword spotting with random calibration: 95 % on fields, 13 % on speech."""
    constant = replace(BAD, agreement=0.95, classes=((0, 0),) * 95 + ((1, 0),) * 5)
    lost = replace(BAD, agreement=0.3, classes=((0, 0),) * 3 + ((1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0)))
    assert predict(evidence(constant, constant, lost)).percent < 30
    alone = predict(evidence(constant, constant, None))
    assert any("almost all synthetic inputs the same class" in reason for reason in alone.reasons)


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (evidence(second=features(0.97, 0.15)), "contradict each other"),
        (evidence(driven=features(0.8, 0.03)), "only 80 % agree"),
        (replace(evidence(), mismatch=1.4), "other statistics than BatchNorm stored"),
        (replace(evidence(), assumed=True), "convention is assumed"),
        (evidence(BAD, BAD), r"does not follow.*\(1\.5 dB\)"),
    ],
)
def test_contradictions_lower_the_confidence(case: Evidence, reason: str) -> None:
    found = predict(case)
    assert found.confidence is Confidence.LOW
    assert any(re.search(reason, text) for text in found.reasons)


def test_probits_are_kept_away_from_what_samples_do_not_show() -> None:
    assert share_of(probit(0.97)) == pytest.approx(0.97)
    assert probit(0.0) == probit(0.02) and probit(1.0) == probit(0.9999) > 3
