"""Correct data of many molecules, and what can go wrong with them."""

import functools

import numpy

from common.data.dataset import Entry
from common.espaloma.archive import find_entries
from common.espaloma.entry import read_entry
from common.plausibility.checks import find_doubts
from tests.helpers import ROOT


@functools.cache
def read_example() -> tuple[Entry, ...]:
    """All entries of the example archive: 72 molecules at B3LYP-D3(BJ)/DZVP."""
    locations = find_entries(ROOT / "example" / "8150601")
    return tuple(read_entry(one.folder, one.name) for entries in locations.values() for one in entries)


def list_kinds(entry: Entry, **changes: object) -> list[str]:
    """The kinds of doubt in an entry of which some fields are others."""
    fields = {"coords": entry.coords, "energy": entry.energy, "offset": entry.energy_offset, "forces": entry.forces}
    return list(find_doubts(entry.smiles, **{**fields, **changes}))


def count_kinds(**functions) -> dict[str, int]:
    """How many entries of the example raise each doubt, fields replaced by functions of the entry."""
    counts: dict[str, int] = {}
    for entry in read_example():
        for kind in list_kinds(entry, **{name: function(entry) for name, function in functions.items()}):
            counts[kind] = counts.get(kind, 0) + 1
    return counts


def permute(entry: Entry, values: numpy.ndarray) -> numpy.ndarray:
    return values[:, numpy.random.default_rng(0).permutation(entry.n_atoms)]
