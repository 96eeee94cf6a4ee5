"""The sweep over methods and models: what counts as told, and its table."""

from __future__ import annotations

from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "tools" / "bench"


@pytest.fixture(autouse=True)
def bench(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)


def test_a_refusal_passes_in_one_or_two_lines_but_no_traceback_and_no_silence_does() -> None:
    from sweep import Outcome

    refused = Outcome(code=1, said=("error: no BatchNorm", "hint: export it"), seconds=1.0)
    assert refused.passed and refused.told == "no BatchNorm"
    assert Outcome(code=0, said=(), seconds=2.0).told == "2 s"
    for said in ((), ("Traceback (most recent call last):",), ("error: this is a bug",), ("a", "b", "c")):
        assert not Outcome(code=1, said=said, seconds=1.0).passed


def test_the_table_numbers_each_reason_once() -> None:
    from sweep import Outcome, method, table

    done, refused = (Outcome(code=code, said=("error: no scores",), seconds=1.0) for code in (0, 1))
    assert (method("moments", "squant"), method("prior", "gptq")) == ("moments", "prior, gptq")
    found = table({("a", "moments"): done, ("b", "moments"): refused, ("b", "prior, gptq"): refused})
    assert found.splitlines() == [
        "| method | a | b |",
        "| --- | --- | --- |",
        "| moments | yes | 1 |",
        "| prior, gptq |  | 1 |",
        "",
        "1. no scores",
    ]
