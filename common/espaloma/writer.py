"""One molecule and its quantum data -> one archive entry, with the graph structure of Espaloma 0.3.0.

Independent of the rest of the pipeline, so that a quantum-chemistry environment (NumPy, RDKit) can write an archive.
"""

import collections.abc
import itertools
import os
import pathlib

import numpy
from rdkit import Chem

from common.espaloma.molecule_file import format_molecule
from common.files.atomic import replace_atomically
from common.heterograph.reader import EdgeType, Heterograph
from common.heterograph.writer import write_heterograph

NODE_TYPES = ("g", "n1", "n2", "n3", "n4", "n4_improper", "nonbonded", "onefour")
"""The molecule, atoms, bonds, angles, proper and improper torsions, pairs of atoms more than three and exactly three
bonds apart."""

ORDERS = {"n1": 1, "n2": 2, "n3": 3, "n4": 4, "n4_improper": 4, "nonbonded": 2, "onefour": 2}
"""How many atoms a node of each type joins."""

CHAINS = ("n2", "n3", "n4")
"""Types whose atoms are bonded in a row, so that each contains shorter ones."""


def write_entry(
    folder: str | os.PathLike,
    mol: Chem.Mol,
    coords_bohr: numpy.ndarray,
    energy_hartree: numpy.ndarray,
    gradient_hartree_per_bohr: numpy.ndarray,
) -> None:
    """Writes ``mol.json`` and ``heterograph.bin``.

    Args:
        folder: of the entry; made if it is not there.
        mol: hydrogens explicit, atoms in the order of the arrays.
        coords_bohr: [bohr] ``shape=(n_confs, n_atoms, 3)``; stored in float32.
        energy_hartree: [hartree] total energies, ``shape=(n_confs,)``; stored in float64.
        gradient_hartree_per_bohr: [hartree/bohr] +dE/dx, ``shape=(n_confs, n_atoms, 3)``; stored in float32.

    Raises:
        ValueError: the shapes do not belong together, or the molecule has implicit hydrogens.
    """
    shape = (len(energy_hartree), mol.GetNumAtoms(), 3)
    if coords_bohr.shape != shape or gradient_hartree_per_bohr.shape != shape:
        raise ValueError(
            f"{folder}: coordinates {coords_bohr.shape} and gradient {gradient_hartree_per_bohr.shape}, "
            f"expected {shape}"
        )
    text = format_molecule(mol)
    graph = build_graph(mol)
    graph.node_frames["g"].update(u_qm=numpy.asarray(energy_hartree, numpy.float64)[None])
    graph.node_frames["n1"].update(
        xyz=numpy.swapaxes(coords_bohr, 0, 1).astype(numpy.float32),
        u_qm_prime=numpy.swapaxes(gradient_hartree_per_bohr, 0, 1).astype(numpy.float32),
    )
    write_heterograph(pathlib.Path(folder) / "heterograph.bin", graph)
    with replace_atomically(pathlib.Path(folder) / "mol.json") as beside:
        beside.write_text(text)


def build_graph(mol: Chem.Mol) -> Heterograph:
    """The graph of a molecule as Espaloma 0.3.0 builds it, with atom indices but no quantum data.

    Its structure was worked out from graphs that Espaloma wrote: all lists and edges come in the same order.
    """
    idxs = list_node_idxs(mol)
    counts = {"g": 1, **{type_: len(idxs[type_]) for type_ in ORDERS}}
    edges = dict(sorted(_list_edges(idxs).items()))
    frames = {type_: {"idxs": idxs[type_]} for type_ in ORDERS}
    frames["g"] = {"sum_q": numpy.array([[Chem.GetFormalCharge(mol)]], numpy.float32)}
    return Heterograph(NODE_TYPES, tuple(edges), counts, frames, edges=edges)


def list_node_idxs(mol: Chem.Mol) -> dict[str, numpy.ndarray]:
    """The atoms that each node joins, ``shape=(n_nodes, order)`` int64 for each type.

    Bonds, angles and proper torsions come first with the smaller end first, then all of them reversed. Improper
    torsions have their centre second and come in all six orders. Where there are no torsions, Espaloma leaves
    float64.
    """
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in mol.GetBonds()]
    neighbours = [sorted(n.GetIdx() for n in atom.GetNeighbors()) for atom in mol.GetAtoms()]
    angles = [(i, j, k) for j, ends in enumerate(neighbours) for i, k in itertools.combinations(ends, 2)]
    propers = [
        min((i, j, k, m), (m, k, j, i))
        for j, k in bonds
        for i in neighbours[j]
        for m in neighbours[k]
        if i not in (k, m) and m != j
    ]
    impropers = [
        (i, j, k, m) for j, ends in enumerate(neighbours) if len(ends) == 3 for i, k, m in itertools.permutations(ends)
    ]
    n_bonds_apart = Chem.GetDistanceMatrix(mol)
    rows: dict[str, collections.abc.Sequence[tuple[int, ...]] | numpy.ndarray] = {
        "n1": [(i,) for i in range(mol.GetNumAtoms())],
        "n2": _add_reversed(bonds),
        "n3": _add_reversed(sorted(angles)),
        "n4": _add_reversed(sorted(propers)),
        "n4_improper": sorted(impropers),
        "nonbonded": numpy.argwhere(n_bonds_apart > 3),
        "onefour": numpy.argwhere(n_bonds_apart == 3),
    }
    return {type_: _to_array(rows[type_], order, type_) for type_, order in ORDERS.items()}


def _add_reversed(rows: collections.abc.Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return [*rows, *(row[::-1] for row in rows)]


def _to_array(rows: collections.abc.Sequence[tuple[int, ...]] | numpy.ndarray, order: int, type_: str) -> numpy.ndarray:
    dtype = numpy.float64 if type_ in ("n4", "n4_improper") and len(rows) == 0 else numpy.int64
    return numpy.array(rows, dtype).reshape(-1, order)


def _list_edges(idxs: dict[str, numpy.ndarray]) -> dict[EdgeType, tuple[numpy.ndarray, numpy.ndarray]]:
    """Source and destination nodes of each edge type, ``shape=(n_edges,)`` int64."""
    edges: dict[EdgeType, tuple[numpy.ndarray, numpy.ndarray]] = {}

    def join(part: str, k: int, whole: str, parts: numpy.ndarray, wholes: numpy.ndarray) -> None:
        edges[part, f"{part}_as_{k}_in_{whole}", whole] = (parts, wholes)
        edges[whole, f"{whole}_has_{k}_{part}", part] = (wholes, parts)

    for type_, order in ORDERS.items():
        nodes = numpy.arange(len(idxs[type_]))
        edges["g", f"g_has_{type_}", type_] = (numpy.zeros_like(nodes), nodes)
        edges[type_, f"{type_}_in_g", "g"] = (nodes, numpy.zeros_like(nodes))
        if type_ != "n1":
            for k in range(order):
                join("n1", k, type_, idxs[type_][:, k].astype(numpy.int64), nodes)
    for part, whole in itertools.combinations(CHAINS, 2):
        row_of = {tuple(row): i for i, row in enumerate(idxs[part].tolist())}
        wholes = numpy.arange(len(idxs[whole]))
        for k in range(ORDERS[whole] - ORDERS[part] + 1):
            windows = idxs[whole][:, k : k + ORDERS[part]].tolist()
            parts = numpy.array([row_of[tuple(window)] for window in windows], numpy.int64)
            join(part, k, whole, parts, wholes)
    edges["n1", "n1_neighbors_n1", "n1"] = (idxs["n2"][:, 0], idxs["n2"][:, 1])
    return edges
