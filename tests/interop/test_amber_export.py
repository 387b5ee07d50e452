"""AMBER files, written by ParmEd and read back by OpenMM, give the energies of this project."""

import sys

import numpy
import pytest

from common.interop.amber_export import load_parmed, write_amber
from tests.interop.engines import FILES_LEFT_OPEN, WATER, evaluate, read_amber

pytestmark = FILES_LEFT_OPEN

TOLERANCE = 1e-4
"""[kcal/mol] The promise; found 2e-6, of the eight digits of AMBER's files."""


def test_energies_of_all_molecules_are_those_of_the_fit(parity_molecules, parity_energies, tmp_path):
    pytest.importorskip("parmed", reason="ParmEd is optional; .ci/run installs it")
    pytest.importorskip("openmm")
    for record in parity_energies:
        if record["smiles"] == WATER:
            continue
        topology = parity_molecules.topologies[record["smiles"]]
        coords = numpy.array(record["coords"])
        files = write_amber(
            tmp_path / "molecule.prmtop", record["smiles"], topology, parity_molecules.force_field, coords[0]
        )
        assert all(path.is_file() for path in files)
        system, found = read_amber(tmp_path / "molecule.prmtop")
        assert numpy.abs(found - coords[0]).max() < 1e-6
        energies = [evaluate(system, conformer) for conformer in coords]
        assert numpy.abs(numpy.array(energies) - record["energy"]).max() < TOLERANCE, record["smiles"]


def test_without_parmed_the_message_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "parmed", None)
    with pytest.raises(RuntimeError, match="pip install parmed"):
        load_parmed()
