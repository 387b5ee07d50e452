"""Drawings of molecules: what is shown, what is marked, and that the same molecule is always drawn alike."""

from xml.etree import ElementTree

from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles
from common.reporting.structures import CELL, draw_grid, draw_molecule

METHANOL = "[C:1]([O:2][H:6])([H:3])([H:4])[H:5]"
HIGHLIGHT = "#F9CC66"
"""The colour of marked atoms and bonds."""


def test_drawings_show_heavy_atoms_and_mark_a_bond():
    plain, marked = draw_molecule(METHANOL), draw_molecule(METHANOL, (0, 1, 2, 5))
    assert plain.count("class='bond-0") > 0
    assert "bond-1" not in plain  # the bonds to hydrogen are not drawn
    assert HIGHLIGHT not in plain
    assert HIGHLIGHT in marked


def test_marked_atoms_are_counted_as_in_the_data():
    """The chlorine of CF3Cl, wherever it stands in the SMILES: hydrogens and order must not shift it."""
    for smiles in ("FC(F)(F)Cl", "ClC(F)(F)F"):
        mol = from_smiles(smiles)
        [chlorine] = [atom.GetIdx() for atom in mol.GetAtoms() if atom.GetSymbol() == "Cl"]
        text = draw_molecule(to_mapped_smiles(mol), (chlorine,))
        marks = [line for line in text.splitlines() if HIGHLIGHT in line]
        assert len(marks) == 1
        assert f"atom-{chlorine}" in marks[0]


def test_a_drawing_is_svg_and_the_same_every_time():
    assert ElementTree.fromstring(draw_molecule(METHANOL)).tag.endswith("svg")
    assert draw_molecule(METHANOL) == draw_molecule(METHANOL)


def test_hydrogen_alone_can_be_drawn():
    assert "svg" in draw_molecule("[H:1][H:2]")


def test_a_grid_has_a_cell_for_every_molecule_and_its_legend():
    root = ElementTree.fromstring(draw_grid([(METHANOL, "3 eV")] * 5, 3))
    assert root.get("width") == f"{3 * CELL[0]}px"
    assert root.get("height") == f"{2 * CELL[1]}px"
    assert len([one for one in root.iter() if "legend" in one.get("class", "")]) == 5 * len("3 eV")
    assert draw_grid([(METHANOL, "")], 3) == draw_grid([(METHANOL, "")], 3)
