"""GROMACS files of a parameterised molecule: topology (.top) and coordinates (.gro).

Every parameter stands where it is used, with all its digits: energies are those of the fit. GROMACS writes harmonic
terms as k/2 (q - q0)², as this project does, and knows no idivf: it is divided into k. Formats: GROMACS reference
manual 2024, "Topology file formats" and "File formats".
"""

import collections.abc
import pathlib

import numpy
from rdkit import Chem

from common.files.atomic import replace_atomically
from common.forcefields.tensors import TensorForceField, TensorTopology
from common.interop.openmm_export import NANOMETER_PER_ANGSTROM, get_column, list_scales, list_terms
from common.units import KILOJOULE_PER_KILOCALORIE

BOND_UNIT = KILOJOULE_PER_KILOCALORIE / NANOMETER_PER_ANGSTROM**2
"""[kJ/mol/nm² per kcal/mol/Angstrom²]"""

RESIDUE = "MOL"
MARGIN = 1.5
"""[nm] from the molecule to the walls of the box that GROMACS asks for; energies in vacuum do not depend on it."""


def format_gromacs_topology(topology: TensorTopology, force_field: TensorForceField) -> str:
    """The topology of one molecule in vacuum.

    Args:
        topology: the molecule.
        force_field: its parameters.

    Raises:
        ValueError: interactions are scaled in a way that GROMACS cannot express, or bonds have no term.
    """
    check_bonds(topology, force_field)
    potentials = force_field.potentials_by_type
    fudge, pairs = {}, list[tuple[int, int]]()
    for type_ in ("vdW", "Electrostatics"):
        fudge[type_] = 1.0
        if type_ in potentials:
            fudge[type_] = potentials[type_].attribute("scale_14").item()
            pairs = [pair for pair, scale in list_scales(topology, potentials[type_]) if scale != 0.0]
            if {scale for _, scale in list_scales(topology, potentials[type_])} - {0.0, fudge[type_]}:
                raise ValueError(
                    f"{type_}: GROMACS leaves out atoms up to two bonds apart; scale_12 and scale_13 are 0"
                )
    types, rows = _list_atoms(topology, force_field)
    sections: dict[str, list[str]] = {
        "defaults": [f"1 2 yes {_number(fudge['vdW'])} {_number(fudge['Electrostatics'])}"],
        "atomtypes": types,
        "moleculetype": [f"{RESIDUE} 3"],
        "atoms": rows,
        "pairs": [f"{i + 1} {j + 1} 1" for i, j in sorted(pairs)],
        "bonds": [],
        "angles": [],
        "dihedrals": [],
    }
    for type_, (section, format_) in _VALENCE.items():
        if type_ in potentials:
            for atoms, values in list_terms(topology, potentials[type_]):
                numbers = " ".join(str(i + 1) for i in atoms)
                sections[section].append(f"{numbers} {format_(values)}")
    sections |= {"system": [RESIDUE], "molecules": [f"{RESIDUE} 1"]}
    blocks = [f"[ {name} ]\n" + "".join(f"{line}\n" for line in lines) for name, lines in sections.items()]
    return "\n".join(blocks)


def check_bonds(topology: TensorTopology, force_field: TensorForceField) -> None:
    """Whether every bond has a term: other engines know bonds by these, and rigid molecules by models of their own.

    Raises:
        ValueError: one has none.
    """
    bonds = force_field.potentials_by_type.get("Bonds")
    have = {(min(atoms), max(atoms)) for atoms, _ in list_terms(topology, bonds)} if bonds else set()
    lacking = {(min(pair), max(pair)) for pair in topology.bond_idxs.tolist()} - have
    if lacking:
        raise ValueError(
            f"{len(lacking)} bonds have no term in this force field, as in rigid water; other engines have models of "
            "water of their own"
        )


def _list_atoms(topology: TensorTopology, force_field: TensorForceField) -> tuple[list[str], list[str]]:
    """Lines of ``atomtypes``, one for each element and pair of Lennard-Jones parameters, and of ``atoms``."""
    vdw, coulomb = (force_field.potentials_by_type.get(type_) for type_ in ("vdW", "Electrostatics"))
    sigma, epsilon = (get_column(topology, vdw, name).tolist() for name in ("sigma", "epsilon"))
    charge = get_column(topology, coulomb, "charge").tolist()
    table = Chem.GetPeriodicTable()
    types: dict[tuple[int, float, float], str] = {}
    rows, lines = [], []
    for i, number in enumerate(topology.atomic_nums.tolist()):
        symbol, mass = table.GetElementSymbol(number), _number(table.GetAtomicWeight(number))
        key = (number, sigma[i], epsilon[i])
        if key not in types:
            types[key] = f"{symbol}_{len(types) + 1}"
            lengths = f"{_number(sigma[i] * NANOMETER_PER_ANGSTROM)} {_number(epsilon[i] * KILOJOULE_PER_KILOCALORIE)}"
            lines.append(f"{types[key]} {types[key]} {number} {mass} 0.0 A {lengths}")
        rows.append(f"{i + 1} {types[key]} 1 {RESIDUE} {symbol}{i + 1} {i + 1} {_number(charge[i])} {mass}")
    return lines, rows


def _number(value: float) -> str:
    return f"{value:.12g}"


def _format_bond(values: collections.abc.Mapping[str, float]) -> str:
    return f"1 {_number(values['length'] * NANOMETER_PER_ANGSTROM)} {_number(values['k'] * BOND_UNIT)}"


def _format_angle(values: collections.abc.Mapping[str, float]) -> str:
    return f"1 {_number(numpy.degrees(values['angle']))} {_number(values['k'] * KILOJOULE_PER_KILOCALORIE)}"


def _format_torsion(kind: int) -> collections.abc.Callable[[collections.abc.Mapping[str, float]], str]:
    def format_(values: collections.abc.Mapping[str, float]) -> str:
        k = values["k"] / values["idivf"] * KILOJOULE_PER_KILOCALORIE
        return f"{kind} {_number(numpy.degrees(values['phase']))} {_number(k)} {int(values['periodicity'])}"

    return format_


_VALENCE = {
    "Bonds": ("bonds", _format_bond),
    "Angles": ("angles", _format_angle),
    "ProperTorsions": ("dihedrals", _format_torsion(9)),
    "ImproperTorsions": ("dihedrals", _format_torsion(4)),
}
"""Section and functional form: harmonic bonds and angles, multiple proper and periodic improper dihedrals."""


def format_gromacs_coordinates(topology: TensorTopology, coords: numpy.ndarray) -> str:
    """The .gro file of one conformer, in the middle of a box that is wide enough.

    Args:
        topology: the molecule.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.
    """
    nanometers = coords * NANOMETER_PER_ANGSTROM
    low = nanometers.min(0)
    box = nanometers.max(0) - low + 2 * MARGIN
    table = Chem.GetPeriodicTable()
    lines = [RESIDUE, str(topology.n_atoms)]
    for i, (number, row) in enumerate(zip(topology.atomic_nums.tolist(), nanometers - low + MARGIN, strict=True), 1):
        name = f"{table.GetElementSymbol(number)}{i}"
        lines.append(f"{1:5d}{RESIDUE:<5}{name:>5}{i % 100_000:5d}" + "".join(f"{value:8.3f}" for value in row))
    return "\n".join([*lines, " ".join(f"{value:.3f}" for value in box)]) + "\n"


def write_gromacs(
    path: pathlib.Path, topology: TensorTopology, force_field: TensorForceField, coords: numpy.ndarray
) -> list[pathlib.Path]:
    """Writes topology and coordinates.

    Args:
        path: of the topology; the coordinates stand beside it, with the suffix .gro.
        topology, force_field: as :func:`format_gromacs_topology` takes them.
        coords: [Angstrom] ``shape=(n_atoms, 3)``.

    Returns:
        the files.
    """
    texts = {
        path: format_gromacs_topology(topology, force_field),
        path.with_suffix(".gro"): format_gromacs_coordinates(topology, coords),
    }
    for target, text in texts.items():
        with replace_atomically(target) as beside:
            beside.write_text(text)
    return list(texts)
