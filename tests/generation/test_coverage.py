"""Which molecules a force field covers, and where it does not."""

import re

from rdkit import Chem

from common.generation.coverage import find_coverage
from common.molecules.mapped_smiles import to_mapped_smiles
from common.smirnoff.offxml import read_force_field
from tests.commands import STARTER


def map_smiles(smiles):
    return to_mapped_smiles(Chem.AddHs(Chem.MolFromSmiles(smiles)))


def test_molecules_without_parameters_are_counted_and_their_place_is_named(tmp_path):
    text = STARTER.read_text()
    (tmp_path / "lacking.offxml").write_text(re.sub(r'<Bond smirks="[^"]*#7[^>]*></Bond>', "", text))
    force_field = read_force_field(tmp_path / "lacking.offxml")
    found = find_coverage(force_field, [map_smiles(smiles) for smiles in ("CC", "CO", "CN", "CCN", "C#N")], 1)
    assert found.force_field == "lacking.offxml"
    assert (found.rate.count, found.rate.total) == (2, 5)
    assert sum(one.count for one in found.missing) == 3
    first = found.missing[0]
    assert "Bonds" in first.reason
    assert "N" in first.environment
    assert "C" in first.environment
    assert first.example in {"CN", "CCN", "C#N"}


def test_a_force_field_that_covers_all_lacks_nothing():
    found = find_coverage(read_force_field(STARTER), [map_smiles("CCO")], 1)
    assert found.missing == ()
    assert found.rate.value == 1.0
