"""The compiled loops give what tensor operations give, for all kinds of terms; the loss itself is in test_gram.py."""

import dataclasses

import numpy
import pytest
import torch

from common.sufficient_statistics import loop_gram, tensor_gram
from common.sufficient_statistics.entry_grams import WeightedEntry
from common.sufficient_statistics.interactions import build_interactions, find_vdw_pairs
from common.sufficient_statistics.linearization import Linearization
from tests.helpers import make_entries

TOLERANCE = 1e-12
"""Relative to the largest number of a matrix; found: 1e-13."""


def compute_both(molecules, entries, weights, with_vdw, block_bytes=loop_gram.BLOCK_BYTES):
    force_field = molecules.force_field
    pairs = find_vdw_pairs(molecules.topologies.values(), force_field) if with_vdw else None
    linearization = Linearization(force_field) if pairs is None else Linearization(force_field, pairs)
    smiles = sorted({entry.smiles for entry in entries})
    interactions = build_interactions([molecules.topologies[one] for one in smiles], linearization)
    sources = [WeightedEntry(e, smiles.index(e.smiles), w) for e, w in zip(entries, weights, strict=True)]
    phi = linearization.compute(force_field)
    loops = list(loop_gram.compute_entry_grams(sources, interactions, phi, block_bytes))
    tensors = list(tensor_gram.compute_entry_grams(sources, interactions, phi))
    assert [one.source.entry.smiles for one in loops] == [entry.smiles for entry in entries]
    return loops, tensors


def assert_same(loops, tensors):
    for one, other in zip(loops, tensors, strict=True):
        assert numpy.array_equal(one.features, other.features)
        for part in ("energy", "forces"):
            found, expected = getattr(one, part), getattr(other, part)
            assert (found - expected).abs().max() <= TOLERANCE * expected.abs().max(), (one.source.entry.smiles, part)
            assert torch.equal(found, found.T)


@pytest.mark.parametrize("with_vdw", [False, True], ids=["valence", "vdW"])
@pytest.mark.parametrize("block_bytes", [loop_gram.BLOCK_BYTES, 1], ids=["whole", "entries cut"])
def test_both_ways_are_equal(parity_molecules, parity_energies, with_vdw, block_bytes):
    random = numpy.random.default_rng(0)
    # 7 conformers leave a rest of any number of frames that a processor takes at once
    entries = make_entries(parity_energies, n_confs=7)
    weights = [weight / weight.sum() for weight in random.random((len(entries), 7))]
    assert_same(*compute_both(parity_molecules, entries, weights, with_vdw, block_bytes))


def test_more_conformers_than_one_block_holds(parity_molecules, parity_energies):
    n_confs = 2 * loop_gram.LANES + 3
    entries = make_entries(parity_energies[:4], n_confs=n_confs)
    assert_same(*compute_both(parity_molecules, entries, [numpy.full(n_confs, 1 / n_confs)] * 4, True))


@pytest.mark.parametrize("lacking", ["energy", "forces"])
def test_what_an_entry_lacks_is_0(parity_molecules, parity_energies, lacking):
    [whole] = make_entries(parity_energies[20:21], n_confs=5)
    entry = dataclasses.replace(whole, **{lacking: numpy.full_like(getattr(whole, lacking), numpy.nan)})
    weights = [numpy.full(5, 0.2)]
    loops, tensors = compute_both(parity_molecules, [entry], weights, True)
    assert_same(loops, tensors)
    assert not getattr(loops[0], lacking).any()
    other = {"energy": "forces", "forces": "energy"}[lacking]
    [complete], _ = compute_both(parity_molecules, [whole], weights, True)
    assert torch.equal(getattr(loops[0], other), getattr(complete, other))


def test_every_kind_of_term_is_there(parity_molecules):
    """Or the tests above would say little: impropers, several terms of a dihedral, phases that are neither 0 nor π."""
    types = parity_molecules.force_field.potentials_by_type
    assert len(types["ImproperTorsions"].parameters)
    assert len({key.mult for key in types["ProperTorsions"].parameter_keys}) > 2
    assert set(types["ProperTorsions"].column("periodicity").tolist()) >= {1.0, 2.0, 3.0, 4.0}


def test_any_phase_and_periodicity(parity_molecules, parity_energies):
    random = numpy.random.default_rng(1)
    potential = parity_molecules.force_field.potentials_by_type["ProperTorsions"]
    table = potential.parameters.clone()
    n = len(table)
    table[:, potential.parameter_cols.index("phase")] = torch.from_numpy(random.uniform(-4.0, 4.0, n))
    table[:, potential.parameter_cols.index("periodicity")] = torch.from_numpy(random.integers(-3, 7, n)).double()
    changed = parity_molecules.force_field.replace_parameters({"ProperTorsions": table})
    molecules = dataclasses.replace(parity_molecules, force_field=changed)
    entries = make_entries(parity_energies[:30], n_confs=3)
    assert_same(*compute_both(molecules, entries, [numpy.full(3, 1 / 3)] * 30, False))
    table[:, potential.parameter_cols.index("periodicity")] = 1.5
    broken = dataclasses.replace(
        parity_molecules, force_field=parity_molecules.force_field.replace_parameters({"ProperTorsions": table})
    )
    with pytest.raises(ValueError, match="no whole number"):
        compute_both(broken, entries, [numpy.full(3, 1 / 3)] * 30, False)


def test_straight_and_folded_chains(parity_molecules, parity_energies):
    """Acetonitrile with C-C-N at exactly 180 degrees: what has no direction has no gradient, both ways."""
    record = next(r for r in parity_energies if "#[N" in r["smiles"] and len(r["coords"][0]) == 6)
    entry = make_entries([record], n_confs=2)[0]
    entry.coords[:, :3] = [(-1.46, 0.0, 0.0), (0.0, 0.0, 0.0), (1.16, 0.0, 0.0)]
    assert_same(*compute_both(parity_molecules, [entry], [numpy.full(2, 0.5)], False))


def test_what_is_not_finite_is_seen(parity_molecules, parity_energies):
    entry = make_entries(parity_energies[:1], n_confs=2)[0]
    entry.coords[0, 0] = numpy.nan
    (grams,), _ = compute_both(parity_molecules, [entry], [numpy.full(2, 0.5)], False)
    assert torch.isnan(grams.forces).any()
