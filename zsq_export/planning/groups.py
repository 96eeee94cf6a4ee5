"""Disjoint sets of tensors: those that must share one scale."""

from __future__ import annotations


class DisjointSets:
    """Union-find over names; a name never seen is a set of its own."""

    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        """The representative of the set that holds ``name``."""
        root = name
        while (parent := self._parent.get(root, root)) != root:
            root = parent
        while (parent := self._parent.get(name, name)) != root:
            self._parent[name] = root
            name = parent
        return root

    def unite(self, names: list[str]) -> None:
        """Merges the sets of all ``names``; the representative is the first name's, so the order decides."""
        for name in names[1:]:
            first, other = self.find(names[0]), self.find(name)
            if first != other:
                self._parent[other] = first

    def together(self, names: list[str]) -> dict[str, list[str]]:
        """``names`` by representative, in the given order."""
        sets: dict[str, list[str]] = {}
        for name in names:
            sets.setdefault(self.find(name), []).append(name)
        return sets
