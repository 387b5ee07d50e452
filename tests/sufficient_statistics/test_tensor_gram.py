"""Tensor operations give the same however the conformers are cut; test_loop_gram.py compares with the loops."""

import numpy
import torch

from common.sufficient_statistics.entry_grams import WeightedEntry
from common.sufficient_statistics.interactions import build_interactions
from common.sufficient_statistics.linearization import Linearization
from common.sufficient_statistics.tensor_gram import compute_entry_grams
from tests.helpers import make_entries

TOLERANCE = 1e-12
"""Relative: sums in another order."""


def test_chunks_of_any_size_give_the_same(parity_molecules, parity_energies):
    entries = make_entries(parity_energies[:20], n_confs=7)
    linearization = Linearization(parity_molecules.force_field)
    smiles = sorted({entry.smiles for entry in entries})
    interactions = build_interactions([parity_molecules.topologies[one] for one in smiles], linearization)
    phi = linearization.compute(parity_molecules.force_field)
    sources = [WeightedEntry(entry, smiles.index(entry.smiles), numpy.full(7, 1 / 7)) for entry in entries]
    whole, cut = (
        list(compute_entry_grams(sources, interactions, phi, chunk_bytes=size)) for size in (16_000_000, 40_000)
    )
    for one, other in zip(whole, cut, strict=True):
        for a, b in ((one.energy, other.energy), (one.forces, other.forces)):
            assert torch.allclose(a, b, rtol=0.0, atol=TOLERANCE * a.abs().max().item())
