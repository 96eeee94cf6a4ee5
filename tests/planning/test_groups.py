"""Union-find against sets merged by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zsq_export.planning.groups import DisjointSets

_NAMES = "abcdefgh"


@given(merges=st.lists(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=4), max_size=8))
def test_equals_merged_sets(merges: list[list[str]]) -> None:
    union, sets = DisjointSets(), [{name} for name in _NAMES]
    for merge in merges:
        union.unite(merge)
        touched = [group for group in sets if group & set(merge)]
        sets = [group for group in sets if not group & set(merge)] + [set().union(*touched)]
    assert sorted(map(sorted, union.together(list(_NAMES)).values())) == sorted(map(sorted, sets))
