"""AM1-BCC charges from a NAGL graph neural network, without openff-nagl.

For every connected part of a molecule: the look-up table, if the model has one and knows the part; else, if the part
lies inside the model's chemical domain, the network. So does ``GNNModel.compute_property`` of openff-nagl with its
defaults and ``check_domains=True``, followed by the normalisation of ``NAGLToolkitWrapper.assign_partial_charges`` in
openff-toolkit, which spreads what is missing from the total charge evenly over the atoms.
"""

import collections.abc
import dataclasses
import os

import numpy
import torch
from rdkit import Chem

from common.molecules.mapped_smiles import perceive
from common.nagl.features import check_features, compute_atom_features
from common.nagl.lookup import LookupTable
from common.nagl.network import AtomGraph, ChargeNetwork, build_network
from common.nagl.weights import ChargeWeights, find_weights, load_weights

DEFAULT_MODEL = "openff-gnn-am1bcc-1.0.0.pt"
"""OpenFF's first production model of AM1-BCC charges."""

BATCH_ATOMS = 4096
"""Atoms that go through the network at once: enough to keep a core busy, and some 100 MB."""


class ChargeError(ValueError):
    """A molecule that the charge model refuses; the message names it and says why."""


@dataclasses.dataclass(frozen=True)
class _Fragment:
    """A connected part of a molecule that goes through the network.

    Attributes:
        charges: of the molecule that it belongs to, ``shape=(n_atoms_of_molecule,)``; the network's go there.
        atom_idxs: its atoms in that molecule.
        features: ``shape=(n_atoms, n_features)`` float32.
        bond_idxs: ``shape=(n_bonds, 2)`` int64, by position in ``atom_idxs``.
        total_charge: [e].
    """

    charges: numpy.ndarray
    atom_idxs: tuple[int, ...]
    features: numpy.ndarray
    bond_idxs: numpy.ndarray
    total_charge: int


class ChargeModel:
    """A charge model that is ready for use; see :func:`load_charge_model`.

    Attributes:
        name: the weights file's name.
        sha256: of the weights file.
    """

    def __init__(self, weights: ChargeWeights):
        features = weights.config["atom_features"]
        check_features(features)
        self.name = weights.name
        self.sha256 = weights.sha256
        self._features = features
        self._network: ChargeNetwork = build_network(weights)
        self._table = LookupTable(weights.lookup_table)
        self._allowed_elements = frozenset(weights.allowed_elements)
        self._forbidden_patterns = [(smarts, Chem.MolFromSmarts(smarts)) for smarts in weights.forbidden_patterns]

    def compute_charges(self, mols: collections.abc.Sequence[Chem.Mol]) -> list[numpy.ndarray | ChargeError]:
        """Charges of many molecules at once.

        Args:
            mols: as :func:`common.molecules.mapped_smiles.from_mapped_smiles` gives them: hydrogens explicit, MDL
                aromaticity.

        Returns:
            For each molecule its charges [e], ``shape=(n_atoms,)`` float64, which add up to its formal charge; or, in
            their place, the error that says why the model refuses it.
        """
        results: list[numpy.ndarray | ChargeError] = []
        fragments: list[_Fragment] = []
        for mol in mols:
            charges = numpy.empty(mol.GetNumAtoms())
            try:
                fragments += self._prepare(mol, charges)
            except ValueError as error:
                results.append(ChargeError(f"{_write_name(mol)}: {error}"))
            else:
                results.append(charges)
            if sum(len(fragment.atom_idxs) for fragment in fragments) >= BATCH_ATOMS:
                self._predict(fragments)
                fragments = []
        if fragments:
            self._predict(fragments)
        return [_restore_total(mol, result) for mol, result in zip(mols, results, strict=True)]

    def _prepare(self, mol: Chem.Mol, charges: numpy.ndarray) -> list[_Fragment]:
        """Fills in what the look-up table knows, and returns what is left for the network."""
        if any(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()):
            raise ValueError("Molecule contains radical electrons; force fields describe closed shells")
        fragments = []
        for atom_idxs, fragment in _split_into_fragments(mol):
            known = self._table.find_charges(fragment)
            if known is None:
                self._check_domain(fragment)
                features = compute_atom_features(fragment, self._features)
                bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in fragment.GetBonds()]
                bond_idxs = numpy.array(bonds, dtype=numpy.int64).reshape(-1, 2)
                fragments.append(_Fragment(charges, atom_idxs, features, bond_idxs, Chem.GetFormalCharge(fragment)))
            else:
                charges[list(atom_idxs)] = known
        return fragments

    def _check_domain(self, mol: Chem.Mol) -> None:
        """Refuses what the model was not trained on, in the terms that users of openff-nagl know."""
        if self._allowed_elements:
            for atom in mol.GetAtoms():
                if atom.GetAtomicNum() not in self._allowed_elements:
                    raise ValueError(f"Molecule contains forbidden element {atom.GetAtomicNum()}")
        for smarts, pattern in self._forbidden_patterns:
            if mol.HasSubstructMatch(pattern):
                raise ValueError(f"Molecule contains forbidden SMARTS pattern {smarts}")

    def _predict(self, fragments: list[_Fragment]) -> None:
        """Puts the charges of the fragments into those of their molecules."""
        sizes = [len(fragment.atom_idxs) for fragment in fragments]
        starts = numpy.cumsum([0, *sizes])
        graph = AtomGraph(
            features=torch.from_numpy(numpy.concatenate([fragment.features for fragment in fragments])),
            bond_idxs=torch.from_numpy(
                numpy.concatenate(
                    [fragment.bond_idxs + start for fragment, start in zip(fragments, starts[:-1], strict=True)]
                )
            ),
            molecule_idxs=torch.repeat_interleave(torch.arange(len(fragments)), torch.tensor(sizes)),
            total_charges=torch.tensor([fragment.total_charge for fragment in fragments], dtype=torch.float64),
        )
        predicted = self._network.compute_charges(graph).numpy()
        for fragment, start, size in zip(fragments, starts[:-1], sizes, strict=True):
            fragment.charges[list(fragment.atom_idxs)] = predicted[start : start + size]


def _split_into_fragments(mol: Chem.Mol) -> list[tuple[tuple[int, ...], Chem.Mol]]:
    """The connected fragments, each with the positions of its atoms in the molecule."""
    atom_idxs = Chem.GetMolFrags(mol)
    if len(atom_idxs) == 1:
        return [(atom_idxs[0], mol)]
    return list(zip(atom_idxs, map(perceive, Chem.GetMolFrags(mol, asMols=True, sanitizeFrags=False)), strict=True))


def _restore_total(mol: Chem.Mol, result: numpy.ndarray | ChargeError) -> numpy.ndarray | ChargeError:
    """Charges that add up to the molecule's; tabulated ones have few digits."""
    if isinstance(result, ChargeError) or not len(result):
        return result
    return result + (Chem.GetFormalCharge(mol) - result.sum()) / len(result)


def _write_name(mol: Chem.Mol) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(mol, sanitize=False))


def load_charge_model(name_or_path: str | os.PathLike = DEFAULT_MODEL) -> ChargeModel:
    """Loads a charge model by its name in the installed package openff-nagl-models, or from a file.

    Raises:
        FileNotFoundError: there is no such model.
        ValueError: the file is damaged, asks for classes that no charge model needs, or describes a network or
            features that are not known here.
    """
    path = find_weights(name_or_path)
    try:
        return ChargeModel(load_weights(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: a part of the charge model is missing or misplaced ({error}); use another"
        ) from error
