"""Applies a SMIRNOFF force field to molecules: which parameter each bond, angle, torsion and atom takes.

Matching is done on the whole molecule with explicit hydrogens; of all patterns that match, the last one in the file
counts (https://openforcefield.github.io/standards/standards/smirnoff/). Constraints are for dynamics: bonds that they
fix keep their terms here, because a fit to forces needs them.
"""

import collections.abc
import dataclasses
import itertools
import typing

import numpy
import torch
from rdkit import Chem

from common.forcefields.tensors import ParameterKey, TensorPotential
from common.forcefields.terms import ENERGY_FUNCTIONS, N_PARTICLES, NONBONDED_TYPES, PARAMETER_UNITS, VALENCE_TYPES
from common.smirnoff.offxml import ForceFieldFile, Parameter
from common.smirnoff.smirks import Pattern, compile_smirks
from common.smirnoff.values import SETTINGS

MAX_EXCLUDED_BONDS = 3
"""Pairs up to so many bonds apart are scaled: 1-2, 1-3 and 1-4."""

N_NAMED = 3
"""How many unassigned terms a message names."""

Atoms = tuple[int, ...]


class AssignmentError(ValueError):
    """A molecule to which the force field cannot be applied."""


@dataclasses.dataclass(frozen=True)
class Assignment:
    """What a force field says about one molecule. Rows count as in the tensors of :func:`build_potentials`.

    Attributes:
        valence: for each valence section of the force field ``particle_idxs`` ``shape=(n, 2 | 3 | 4)`` and
            ``parameter_idxs`` ``shape=(n,)``, int64.
        vdw_idxs: ``shape=(n_atoms,)`` int64 rows, None without a vdW section.
        library_idxs: ``shape=(n_atoms,)`` int64 rows, None where the library charges do not cover the whole molecule.
        exclusions: ``shape=(n_exclusions, 2)`` int64, pairs 1 to 3 bonds apart.
        exclusion_scale_idxs: ``shape=(n_exclusions, 1)`` int64, bonds between them less one: the index of "scale_12",
            "scale_13" or "scale_14" among the attributes.
    """

    valence: dict[str, tuple[numpy.ndarray, numpy.ndarray]]
    vdw_idxs: numpy.ndarray | None
    library_idxs: numpy.ndarray | None
    exclusions: numpy.ndarray
    exclusion_scale_idxs: numpy.ndarray


class _Candidate(typing.NamedTuple):
    """A parameter with its compiled pattern and its rows."""

    pattern: Pattern
    rows: range


def build_potentials(force_field: ForceFieldFile) -> tuple[TensorPotential, ...]:
    """The parameters of a force field as tensors: a row for each term in the order of the file, used or not.

    The rows of Electrostatics are the library charges; charges that a model computes belong to molecules and follow
    when those are parameterised.
    """
    potentials = []
    for type_ in (*VALENCE_TYPES, *NONBONDED_TYPES):
        if type_ not in force_field.sections:
            continue
        parameters = _get_parameters(force_field, "LibraryCharges" if type_ == "Electrostatics" else type_)
        units = PARAMETER_UNITS[type_]
        settings = force_field.sections[type_].settings
        rows = [row for parameter in parameters for row in parameter.values]
        potentials.append(
            TensorPotential(
                type=type_,
                fn=ENERGY_FUNCTIONS[type_],
                parameters=torch.tensor(rows, dtype=torch.float64).reshape(-1, len(units)),
                parameter_keys=tuple(key for parameter in parameters for key in _make_keys(type_, parameter)),
                parameter_cols=tuple(units),
                parameter_units=tuple(units.values()),
                attributes=torch.tensor(list(settings.values()), dtype=torch.float64) if settings else None,
                attribute_cols=tuple(settings) or None,
                attribute_units=tuple(unit for _, unit, _ in SETTINGS[type_].values()) if settings else None,
            )
        )
    return tuple(potentials)


def _make_keys(type_: str, parameter: Parameter) -> list[ParameterKey]:
    if type_ in ("Bonds", "Angles", "vdW"):
        return [ParameterKey(parameter.smirks)]
    return [ParameterKey(parameter.smirks, mult) for mult in range(len(parameter.values))]


def _get_parameters(force_field: ForceFieldFile, section: str) -> tuple[Parameter, ...]:
    return force_field.sections[section].parameters if section in force_field.sections else ()


class Assigner:
    """Applies one force field to one molecule after the other; patterns are compiled once."""

    def __init__(self, force_field: ForceFieldFile):
        self.sections = tuple(name for name in VALENCE_TYPES if name in force_field.sections)
        self.has_vdw = "vdW" in force_field.sections
        self.candidates = {
            name: _compile_section(_get_parameters(force_field, name))
            for name in (*VALENCE_TYPES, "vdW", "LibraryCharges")
        }

    def assign(self, mol: Chem.Mol) -> Assignment:
        """Finds the parameters of a molecule.

        Args:
            mol: as ``common.molecules.mapped_smiles.from_mapped_smiles`` gives it.

        Raises:
            AssignmentError: a bond, angle, proper torsion or atom has no pattern, or there are two molecules.
        """
        if len(Chem.GetMolFrags(mol)) > 1:
            raise AssignmentError("more than one molecule; give each molecule its own SMILES")
        atoms = [(i,) for i in range(mol.GetNumAtoms())]
        vdw_idxs = None
        if self.has_vdw:
            matches = _find_last_matches(mol, self.candidates["vdW"], atoms, tuple)
            _check_complete(mol, "vdW", atoms, matches)
            vdw_idxs = numpy.array([matches[atom].rows.start for atom in atoms], dtype=numpy.int64)
        exclusions, exclusion_scale_idxs = find_exclusions(mol)
        return Assignment(
            valence={name: self._assign_valence(mol, name) for name in self.sections},
            vdw_idxs=vdw_idxs,
            library_idxs=self._find_library_charges(mol),
            exclusions=exclusions,
            exclusion_scale_idxs=exclusion_scale_idxs,
        )

    def _assign_valence(self, mol: Chem.Mol, section: str) -> tuple[numpy.ndarray, numpy.ndarray]:
        terms = _TERMS[section](mol)
        canonicalize = _sort_improper if section == "ImproperTorsions" else _sort_ends
        matches = _find_last_matches(mol, self.candidates[section], terms, canonicalize)
        if section != "ImproperTorsions":
            _check_complete(mol, section, terms, matches)
        particles: list[Atoms] = []
        rows: list[int] = []
        for term in terms:
            paths = _list_improper_paths(term) if section == "ImproperTorsions" else (term,)
            for row, path in itertools.product(matches[term].rows if term in matches else (), paths):
                particles.append(path)
                rows.append(row)
        n_particles = N_PARTICLES[section]
        return numpy.array(particles, dtype=numpy.int64).reshape(-1, n_particles), numpy.array(rows, dtype=numpy.int64)

    def _find_library_charges(self, mol: Chem.Mol) -> numpy.ndarray | None:
        rows = numpy.full(mol.GetNumAtoms(), -1, dtype=numpy.int64)
        for pattern, charges in self.candidates["LibraryCharges"]:
            for match in pattern.find_matches(mol):
                rows[list(match)] = charges
        return rows if len(rows) and (rows >= 0).all() else None


def _compile_section(parameters: collections.abc.Iterable[Parameter]) -> tuple[_Candidate, ...]:
    candidates, n_rows = [], 0
    for parameter in parameters:
        n_terms = len(parameter.values)
        candidates.append(_Candidate(compile_smirks(parameter.smirks), range(n_rows, n_rows + n_terms)))
        n_rows += n_terms
    return tuple(candidates)


def _find_last_matches(
    mol: Chem.Mol,
    candidates: collections.abc.Sequence[_Candidate],
    terms: collections.abc.Sequence[Atoms],
    canonicalize: collections.abc.Callable[[Atoms], Atoms],
) -> dict[Atoms, _Candidate]:
    """The last candidate that matches each term. Searches from the end and stops once every term has one."""
    missing = set(terms)
    found: dict[Atoms, _Candidate] = {}
    for candidate in reversed(candidates):
        if not missing:
            break
        matched = missing.intersection(map(canonicalize, candidate.pattern.find_matches(mol)))
        found.update(dict.fromkeys(matched, candidate))
        missing -= matched
    return found


def _check_complete(
    mol: Chem.Mol, section: str, terms: collections.abc.Sequence[Atoms], matches: dict[Atoms, _Candidate]
) -> None:
    missing = [term for term in terms if term not in matches]
    if missing:
        named = ", ".join("-".join(name_atom(mol, atom) for atom in term) for term in missing[:N_NAMED])
        others = f" and {len(missing) - N_NAMED} more" if len(missing) > N_NAMED else ""
        raise AssignmentError(f"no {section} pattern for {named}{others}")


def name_atom(mol: Chem.Mol, atom: int) -> str:
    """Element and map number, e.g. "C(3)"."""
    return f"{mol.GetAtomWithIdx(atom).GetSymbol()}({atom + 1})"


# --- the terms of a molecule -----------------------------------------------------------------------------------------


def list_bonds(mol: Chem.Mol) -> list[Atoms]:
    """All bonds, the lower index first, sorted."""
    return sorted(_sort_ends((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx())) for bond in mol.GetBonds())


def list_angles(mol: Chem.Mol) -> list[Atoms]:
    """All angles, the lower end first, sorted."""
    return sorted(
        (i, j, k)
        for j, neighbours in enumerate(_list_neighbours(mol))
        for i, k in itertools.combinations(neighbours, 2)
    )


def list_propers(mol: Chem.Mol) -> list[Atoms]:
    """All proper torsions, the lower end first, sorted. In three-membered rings there are none around the ring."""
    neighbours = _list_neighbours(mol)
    return sorted(
        _sort_ends((i, j, k, m))
        for j, k in list_bonds(mol)
        for i in neighbours[j]
        for m in neighbours[k]
        if i != k and m != j and i != m
    )


def list_impropers(mol: Chem.Mol) -> list[Atoms]:
    """Every atom (second) with every three of its neighbours in ascending order, sorted."""
    return sorted(
        (i, centre, j, k)
        for centre, neighbours in enumerate(_list_neighbours(mol))
        for i, j, k in itertools.combinations(neighbours, 3)
    )


def _list_neighbours(mol: Chem.Mol) -> list[list[int]]:
    return [sorted(neighbour.GetIdx() for neighbour in atom.GetNeighbors()) for atom in mol.GetAtoms()]


_TERMS = {
    "Bonds": list_bonds,
    "Angles": list_angles,
    "ProperTorsions": list_propers,
    "ImproperTorsions": list_impropers,
}


def canonicalize_term(section: str, atoms: Atoms) -> Atoms:
    """The one way in which this house writes an interaction, whichever way a pattern lies on it."""
    return _sort_improper(atoms) if section == "ImproperTorsions" else _sort_ends(atoms)


def _sort_ends(atoms: Atoms) -> Atoms:
    """The same bond, angle or torsion read from its lower end."""
    return atoms if atoms[0] < atoms[-1] else atoms[::-1]


def _sort_improper(atoms: Atoms) -> Atoms:
    """The same improper with its outer atoms in ascending order; the central one stays second."""
    first, second, third = sorted((atoms[0], atoms[2], atoms[3]))
    return first, atoms[1], second, third


def _list_improper_paths(term: Atoms) -> tuple[Atoms, ...]:
    """The three paths of the trefoil, central atom first, in the order of openff-interchange."""
    i, centre, j, k = term
    return (centre, i, j, k), (centre, j, k, i), (centre, k, i, j)


def find_exclusions(mol: Chem.Mol) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Pairs of atoms one to three bonds apart, each once, by the shortest path.

    Returns:
        The pairs ``shape=(n, 2)`` and the bonds between them less one ``shape=(n, 1)``, int64.
    """
    distances = Chem.GetDistanceMatrix(mol)
    pairs = numpy.argwhere(numpy.triu((distances > 0.5) & (distances < MAX_EXCLUDED_BONDS + 0.5)))
    scale_idxs = numpy.rint(distances[pairs[:, 0], pairs[:, 1]]).astype(numpy.int64) - 1
    return pairs.astype(numpy.int64), scale_idxs.reshape(-1, 1)
