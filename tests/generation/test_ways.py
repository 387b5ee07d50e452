"""Molecules of which nothing but their SMILES is known become data."""

import numpy

from common.calculators.tight_binding import TightBinding
from common.data.dataset import open_dataset, read_entries, read_provenance
from common.generation.ways import write_ways_of
from common.molecules.mapped_smiles import from_mapped_smiles


def test_every_molecule_that_can_be_made_is_an_entry(tmp_path):
    impossible = "C1#CC1"  # relaxes into something else, or not at all
    written = write_ways_of(tmp_path / "few", ["CO", impossible, "C#N"], 1.0, 1, {"stage": "a test"})
    entries = list(read_entries(open_dataset(tmp_path / "few")))
    assert [entry.smiles for entry in entries] == written
    assert {from_mapped_smiles(one).GetNumAtoms() for one in written} >= {6, 3}
    assert read_provenance(tmp_path / "few")["stage"] == "a test"
    first = entries[0]
    numbers = numpy.array([atom.GetAtomicNum() for atom in from_mapped_smiles(first.smiles).GetAtoms()])
    energy, forces = TightBinding("GFN2-xTB")(numbers, first.coords[-1], 0)
    numpy.testing.assert_allclose(first.forces[-1], forces, atol=1e-8)
    numpy.testing.assert_allclose(first.energy[-1] + first.energy_offset, energy, atol=1e-8)
    assert numpy.linalg.norm(first.forces[-1], axis=1).max() < 1.0
