"""What can be wrong with an entry of the archive, each brought about in the folder of one that was sound."""

import collections.abc
import os
import pathlib
import shutil
import struct

import numpy

from common.espaloma.writer import write_entry
from common.heterograph.reader import Heterograph, read_heterograph
from common.heterograph.writer import write_heterograph
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.units import BOHR_TO_ANGSTROM
from tests.helpers import DATA

Frames = dict[str, dict[str, numpy.ndarray]]
"""By type of node and name, the tensors of a graph."""


def change_graph(folder: pathlib.Path, change: collections.abc.Callable[[Frames], None]) -> None:
    """Rewrites ``heterograph.bin`` after ``change(node_frames)``."""
    graph = read_heterograph(folder / "heterograph.bin", with_edges=True)
    change(graph.node_frames)
    write_heterograph(folder / "heterograph.bin", graph)


def cut_graph(folder: pathlib.Path) -> None:
    path = folder / "heterograph.bin"
    os.truncate(path, path.stat().st_size * 2 // 3)


def make_graph_a_web_page(folder: pathlib.Path) -> None:
    (folder / "heterograph.bin").write_bytes(b"<html>404 not found</html>\n" * 400)


def make_graph_old(folder: pathlib.Path) -> None:
    """DGL 0.4."""
    with (folder / "heterograph.bin").open("r+b") as file:
        file.seek(8)
        file.write(struct.pack("<Q", 1))


def remove_graph(folder: pathlib.Path) -> None:
    (folder / "heterograph.bin").unlink()


def rename_nodes(folder: pathlib.Path) -> None:
    path = folder / "heterograph.bin"
    n_atoms = read_heterograph(path, keep=()).node_counts["n1"]
    write_heterograph(path, Heterograph(("atom",), (), {"atom": n_atoms}, {"atom": {}}, edges={}))


def remove_molecule(folder: pathlib.Path) -> None:
    (folder / "mol.json").unlink()


def cut_molecule(folder: pathlib.Path) -> None:
    path = folder / "mol.json"
    os.truncate(path, path.stat().st_size // 2)


def swap_molecule(folder: pathlib.Path) -> None:
    """Another molecule's ``mol.json``."""
    shutil.copyfile(DATA / "heterograph" / "methanol-opt-path" / "mol.json", folder / "mol.json")


def link_molecule_out(folder: pathlib.Path) -> None:
    """A link that leads out of the archive."""
    (folder / "mol.json").unlink()
    (folder / "mol.json").symlink_to(DATA / "heterograph" / "ethanol" / "mol.json")


def invert_centre(folder: pathlib.Path) -> None:
    """An entry of one enantiomer with the coordinates of the other, in place of what was there."""
    mol = from_smiles("C[C@H](O)F")
    coords = embed_conformers(mol, 1, seed=1) / BOHR_TO_ANGSTROM * [1.0, 1.0, -1.0]
    write_entry(folder, mol, coords, numpy.zeros(1), numpy.zeros_like(coords))


def lose_an_energy(folder: pathlib.Path) -> None:
    def change(frames: Frames) -> None:
        frames["g"]["u_qm"] = frames["g"]["u_qm"][:, 1:]

    change_graph(folder, change)


def make_all_energies_nan(folder: pathlib.Path) -> None:
    change_graph(folder, lambda frames: frames["g"]["u_qm"].fill(numpy.nan))


def make_one_energy_nan(folder: pathlib.Path) -> None:
    def change(frames: Frames) -> None:
        frames["g"]["u_qm"][0, 0] = numpy.nan

    change_graph(folder, change)


def make_coordinates_nan(folder: pathlib.Path) -> None:
    change_graph(folder, lambda frames: frames["n1"]["xyz"].fill(numpy.nan))


def make_atoms_overlap(folder: pathlib.Path) -> None:
    """Two atoms of the first conformer in one place."""

    def change(frames: Frames) -> None:
        frames["n1"]["xyz"][0, 0] = frames["n1"]["xyz"][1, 0]

    change_graph(folder, change)


def make_a_force_absurd(folder: pathlib.Path, conformer: int = 0) -> None:
    """A thousand hartree/bohr."""

    def change(frames: Frames) -> None:
        frames["n1"]["u_qm_prime"][0, conformer] = 1e3

    change_graph(folder, change)


REFUSED = {
    cut_graph: "heterograph.bin: at byte",
    make_graph_a_web_page: "heterograph.bin: at byte 0: expected DGL graph file magic",
    make_graph_old: "DGL 0.4 or older",
    remove_graph: "heterograph.bin missing: unpacked only in part?",
    rename_nodes: "heterograph.bin: no nodes of type 'n1', only atom",
    remove_molecule: "mol.json missing: unpacked only in part?",
    cut_molecule: "mol.json: ",
    swap_molecule: "heterograph.bin: xyz has shape (9, 4, 3), expected (6, 4, 3): 6 atoms in mol.json",
    link_molecule_out: "leads out of the archive",
    invert_centre: "mol.json: the stereochemistry disagrees",
    lose_an_energy: "xyz has shape (9, 4, 3), expected (9, 3, 3): 9 atoms in mol.json, 3 energies in u_qm",
    make_all_energies_nan: "no conformer is left of 4: 4 with coordinates, energy or gradient not finite",
    make_coordinates_nan: "no conformer is left of 4: 4 with coordinates, energy or gradient not finite",
}
"""What is said of an entry that suffers it; figures are those of the ethanol sample, of 9 atoms and 4 conformers."""

DROPPED = {
    make_one_energy_nan: "coordinates, energy or gradient not finite",
    make_atoms_overlap: "atoms closer than 0.4 A",
    make_a_force_absurd: "a force above 100000 kcal/mol/A",
}
"""Why the conformer that suffers it is left out, with a ceiling of 1e5 kcal/mol/Angstrom for forces."""
