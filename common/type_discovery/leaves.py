"""Leaves: the finest types there could be, sets of interactions that no primitive of their atoms tells apart.

A child of a parameter has the parent's SMIRKS with a primitive more at one of its tagged atoms. It matches an
interaction if any of the ways in which the parent's SMIRKS lies on the atoms satisfies the primitive: a symmetric
pattern lies on them both ways. So a leaf is known by its parameter and by the set, over all these ways, of the classes
of its tagged atoms.
"""

import collections.abc
import dataclasses

import numpy
import torch
from rdkit import Chem

from common.forcefields.tensors import ParameterizedMolecules, ParameterKey, TensorTopology, ValenceParameterMap
from common.molecules.mapped_smiles import from_mapped_smiles
from common.smirnoff.assignment import canonicalize_term
from common.smirnoff.smirks import compile_smirks
from common.sufficient_statistics.linearization import Linearization
from common.type_discovery.primitives import AtomClassifier, Primitive, list_primitives

SECTIONS = ("Bonds", "Angles", "ProperTorsions")
"""The types whose parameters may be split."""

_LINEAR = Chem.MolFromSmarts("[$([*X2]#*),$([*X2](=*)=*)]")
"""Atoms whose two bonds lie on a line."""

Ways = frozenset[tuple[int, ...]]
"""The classes of the tagged atoms for each way in which a SMIRKS lies on an interaction."""


@dataclasses.dataclass(frozen=True)
class Leaf:
    """A set of interactions of one parameter.

    Attributes:
        type: section of the parameter.
        smirks: of the parameter.
        ways: the classes of its atoms.
        is_linear: whether a torsion turns about a linear group, where it is not defined.
    """

    type: str
    smirks: str
    ways: Ways
    is_linear: bool = False


@dataclasses.dataclass(frozen=True)
class Leaves:
    """The leaves of a set of molecules, and the force field that has a row of parameters for each of their terms.

    Attributes:
        primitives: that tell leaves apart.
        classes: of atoms, ``shape=(n_classes, n_primitives)`` bool.
        leaves: all of them.
        first_rows: the first row of each leaf in the potential of its type, ``shape=(n_leaves,)``; the others follow.
        n_rows: how many rows each leaf has, ``shape=(n_leaves,)``: the terms of its parameter.
        parent_rows: by type, for each row the parameter's row in the force field that was expanded.
        molecules: the expanded force field with the molecules' topologies.
        parent_linearization: φ of the force field that was expanded.
    """

    primitives: tuple[Primitive, ...]
    classes: numpy.ndarray
    leaves: tuple[Leaf, ...]
    first_rows: numpy.ndarray
    n_rows: numpy.ndarray
    parent_rows: dict[str, torch.Tensor]
    molecules: ParameterizedMolecules
    parent_linearization: Linearization


def find_leaves(molecules: ParameterizedMolecules, smiles: collections.abc.Iterable[str]) -> Leaves:
    """Sorts the interactions of molecules into leaves.

    Args:
        molecules: a force field and its topologies.
        smiles: mapped SMILES of the molecules that count.

    Raises:
        ValueError: an interaction is not matched by the SMIRKS that it is said to have: the parameters do not belong
            to these molecules.
    """
    mols = {one: from_mapped_smiles(one) for one in smiles}
    classifier = AtomClassifier(list_primitives(mols.values()))
    builder = _LeafBuilder(molecules)
    topologies = {
        one: builder.expand(molecules.topologies[one], mol, classifier.classify(mol), one) for one, mol in mols.items()
    }
    potentials = []
    for potential in molecules.force_field.potentials:
        if potential.type in SECTIONS:
            rows = torch.tensor(builder.parent_rows[potential.type], dtype=torch.int64)
            keys = tuple(ParameterKey(f"leaf {i}", i) for i in range(len(rows)))
            potential = dataclasses.replace(potential, parameters=potential.parameters[rows], parameter_keys=keys)
        potentials.append(potential)
    force_field = dataclasses.replace(molecules.force_field, potentials=tuple(potentials))
    return Leaves(
        primitives=classifier.primitives,
        classes=numpy.array(classifier.classes),
        leaves=tuple(builder.places),
        first_rows=numpy.array([place[0] for place in builder.places.values()]),
        n_rows=numpy.array([place[1] for place in builder.places.values()]),
        parent_rows={type_: torch.tensor(rows, dtype=torch.int64) for type_, rows in builder.parent_rows.items()},
        molecules=dataclasses.replace(molecules, force_field=force_field, topologies=topologies, failures={}),
        parent_linearization=Linearization(molecules.force_field),
    )


class _LeafBuilder:
    """Gives every leaf its rows as it turns up."""

    def __init__(self, molecules: ParameterizedMolecules):
        self.potentials = molecules.force_field.potentials_by_type
        self.places: dict[Leaf, tuple[int, int]] = {}
        self.parent_rows: dict[str, list[int]] = {type_: [] for type_ in SECTIONS if type_ in self.potentials}
        # the rows of each SMIRKS, terms in order
        self.rows: dict[str, dict[str, list[int]]] = {}
        for type_ in self.parent_rows:
            rows: dict[str, list[int]] = {}
            for row, key in enumerate(self.potentials[type_].parameter_keys):
                rows.setdefault(key.id, []).append(row)
            self.rows[type_] = rows

    def expand(self, topology: TensorTopology, mol: Chem.Mol, classes: list[int], smiles: str) -> TensorTopology:
        """The topology with leaves for parameters."""
        linear = {match[0] for match in mol.GetSubstructMatches(_LINEAR)}
        parameters = dict(topology.parameters)
        for type_ in self.parent_rows:
            map_ = topology.parameters.get(type_)
            if isinstance(map_, ValenceParameterMap) and len(map_.parameter_idxs):
                parameters[type_] = self._expand_map(type_, map_, mol, classes, linear, smiles)
        return dataclasses.replace(topology, parameters=parameters)

    def _expand_map(
        self,
        type_: str,
        map_: ValenceParameterMap,
        mol: Chem.Mol,
        classes: list[int],
        linear: set[int],
        smiles: str,
    ) -> ValenceParameterMap:
        keys = self.potentials[type_].parameter_keys
        ways = _find_ways(type_, {keys[row].id for row in map_.parameter_idxs.unique().tolist()}, mol, classes)
        rows = []
        for particles, row in zip(map_.particle_idxs.tolist(), map_.parameter_idxs.tolist(), strict=True):
            smirks = keys[row].id
            term = canonicalize_term(type_, tuple(particles))
            if term not in ways[smirks]:
                raise ValueError(
                    f"{smiles}: {type_} {smirks} does not match the atoms {[i + 1 for i in term]} that it is said to; "
                    "the parameters do not belong to this molecule"
                )
            is_linear = type_ == "ProperTorsions" and bool(linear & set(term[1:3]))
            leaf = Leaf(type_, smirks, frozenset(ways[smirks][term]), is_linear)
            terms = self.rows[type_][smirks]
            if leaf not in self.places:
                self.places[leaf] = (len(self.parent_rows[type_]), len(terms))
                self.parent_rows[type_] += terms
            rows.append(self.places[leaf][0] + terms.index(row))
        return ValenceParameterMap(map_.particle_idxs, torch.tensor(rows, dtype=torch.int64))


def _find_ways(
    type_: str, smirks: collections.abc.Iterable[str], mol: Chem.Mol, classes: list[int]
) -> dict[str, dict[tuple[int, ...], set[tuple[int, ...]]]]:
    """By SMIRKS and interaction, the classes of the tagged atoms for each way in which the SMIRKS lies on it."""
    ways: dict[str, dict[tuple[int, ...], set[tuple[int, ...]]]] = {}
    for one in smirks:
        found: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
        for match in compile_smirks(one).find_matches(mol):
            way = tuple(classes[atom] for atom in match)
            found.setdefault(canonicalize_term(type_, match), set()).add(way)
        ways[one] = found
    return ways
