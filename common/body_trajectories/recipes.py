"""Systems to simulate: a molecule made rigid, with the non-bonded terms of a force field, and two hexagons."""

import math
import pathlib

import numpy
import scipy.optimize
import torch
from rdkit import Chem
from rdkit.Chem import AllChem

from common.body_trajectories.systems import BodySystem
from common.forcefields.energy import compute_energy, compute_forces
from common.forcefields.parameter_file import load_parameters
from common.forcefields.tensors import ParameterizedMolecules
from common.geometry.bodies import Body, build_body
from common.molecules.mapped_smiles import from_mapped_smiles, to_mapped_smiles
from common.potentials.body_pairs import Spring
from common.potentials.site_functions import SiteTerm
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.units import FORCE_TO_ACCELERATION, GAS_CONSTANT

EMBEDDING_SEED = 1
"""Of the conformer that is minimised; where a molecule has several, this says which one is made rigid."""

GRADIENT_TOLERANCE = 1e-6
"""[kcal/mol/Angstrom] at which the geometry counts as a minimum."""


def read_molecule(smiles: str, parameters: pathlib.Path) -> tuple[str, ParameterizedMolecules]:
    """A molecule and the force field applied to it.

    Args:
        smiles: mapped or not.
        parameters: a ``.pt`` file, the folder of a fit with its force-field.pt, or a force field file (.offxml) to be
            applied here.

    Returns:
        the mapped SMILES under which the parameters have it, and these.

    Raises:
        ValueError: the SMILES cannot be read, or the parameters have no such molecule.
    """
    mapped = _map(smiles)
    if parameters.suffix == ".offxml":
        molecules = parameterize(read_force_field(parameters), [mapped], 1)
        if mapped in molecules.failures:
            raise ValueError(f"{mapped}: the force field could not be applied to it ({molecules.failures[mapped]})")
        return mapped, molecules
    molecules = load_parameters(parameters / "force-field.pt" if parameters.is_dir() else parameters)
    if mapped in molecules.topologies:
        return mapped, molecules
    wanted = _strip(mapped)
    n_atoms = from_mapped_smiles(mapped).GetNumAtoms()
    for known, topology in molecules.topologies.items():
        if topology.n_atoms == n_atoms and _strip(known) == wanted:
            return known, molecules
    raise ValueError(
        f"{parameters}: has no molecule {smiles}; it has {len(molecules.topologies)} others: name one of these, or "
        "apply a force field to this one, too"
    )


def _map(smiles: str) -> str:
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError(f"{smiles!r}: RDKit cannot read this SMILES")
    is_mapped = any(atom.GetAtomMapNum() for atom in mol.GetAtoms())
    return to_mapped_smiles(from_mapped_smiles(smiles) if is_mapped else Chem.AddHs(mol))


def _strip(mapped: str) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(from_mapped_smiles(mapped)))


def build_rigid_molecules(
    smiles: str,
    molecules: ParameterizedMolecules,
    n_bodies: int,
    spring: Spring | None,
    box: float | None = None,
    cutoff: float | None = None,
) -> BodySystem:
    """Copies of a molecule at a minimum of its force field, rigid, with the non-bonded terms between them.

    Args:
        smiles: mapped SMILES.
        molecules: the force field applied to it.
        n_bodies: how many.
        spring, box, cutoff: of the system.

    Raises:
        ValueError: the molecule has no conformer.
    """
    mol = from_mapped_smiles(smiles)
    coords = minimise(molecules, smiles, _embed(mol, smiles))
    body, terms = _build_body(Chem.MolToSmiles(Chem.RemoveHs(mol)), mol, coords, molecules, smiles)
    return BodySystem((body,) * n_bodies, terms, spring, box, cutoff, "molecular")


def _embed(mol: Chem.Mol, smiles: str) -> numpy.ndarray:
    mol = Chem.Mol(mol)
    if mol.GetNumAtoms() == 1:
        return numpy.zeros((1, 3))
    if AllChem.EmbedMolecule(mol, randomSeed=EMBEDDING_SEED) != 0:
        raise ValueError(f"{smiles}: RDKit finds no conformer")
    return mol.GetConformer().GetPositions()


def minimise(molecules: ParameterizedMolecules, smiles: str, coords: numpy.ndarray) -> numpy.ndarray:
    """The nearest minimum of the molecule alone [Angstrom], ``shape=(n_atoms, 3)``."""
    topology, force_field = molecules.topologies[smiles], molecules.force_field

    def evaluate(flat):
        x = torch.from_numpy(flat.reshape(1, -1, 3).copy())
        energy = compute_energy(topology, force_field, x)
        forces = compute_forces(topology, force_field, x)
        return float(energy), -forces.numpy().ravel()

    options = {"maxiter": 2000, "gtol": GRADIENT_TOLERANCE}
    return scipy.optimize.minimize(evaluate, coords.ravel(), jac=True, method="L-BFGS-B", options=options).x.reshape(
        -1, 3
    )


def _build_body(
    name: str, mol: Chem.Mol, coords: numpy.ndarray, molecules: ParameterizedMolecules, smiles: str
) -> tuple[Body, tuple[SiteTerm, ...]]:
    """The body and the terms of its sites; sites that rotations exchange have one label and the mean charge."""
    topology, potentials = molecules.topologies[smiles], molecules.force_field.potentials_by_type
    rows = topology.parameters["vdW"].parameter_idxs.tolist()
    symbols = [atom.GetSymbol() for atom in mol.GetAtoms()]
    masses = numpy.array([atom.GetMass() for atom in mol.GetAtoms()]) / FORCE_TO_ACCELERATION
    # what is alike by element and parameter may still differ by its place in the molecule: orbits tell
    body, _ = build_body(name, coords, masses, [f"{symbol}{row}" for symbol, row in zip(symbols, rows, strict=True)])
    orbits = [min(int(one.order[i]) for one in body.own_rotations) for i in range(len(symbols))]
    labels = [f"{symbol}{orbits[i] + 1}" for i, symbol in enumerate(symbols)]
    body = Body(name, body.sites, masses, tuple(labels))
    vdw = potentials["vdW"]
    values = {
        column: {label: float(vdw.column(column)[row]) for label, row in zip(labels, rows, strict=True)}
        for column in ("epsilon", "sigma")
    }
    terms = [SiteTerm("lennard-jones", values)]
    if "Electrostatics" in potentials:
        idxs = topology.parameters["Electrostatics"].parameter_idxs
        charges = potentials["Electrostatics"].column("charge")[idxs].tolist()
        means = {
            label: float(numpy.mean([q for q, own in zip(charges, labels, strict=True) if own == label]))
            for label in labels
        }
        terms.append(SiteTerm("coulomb", {"charge": means}))
    return body, tuple(terms)


def build_hexagons(kt: float, spring_length: float = 2.0) -> BodySystem:
    """Two hexagons of six sites around one, of unit mass and size, as jakublala/coarsegrained-md-neural-ode has them.

    All sites repel each other by ``lj/smooth`` up to 2^(1/6); a spring of 10 kT over the square of its inner radius
    joins the centres.
    """
    angles = math.pi / 3.0 * numpy.arange(6)
    ring = numpy.stack((numpy.cos(angles), numpy.sin(angles), numpy.zeros(6)), axis=1)
    body, _ = build_body("hexagon", numpy.concatenate((ring, numpy.zeros((1, 3)))), numpy.ones(7), ["1"] * 7)
    cutoff = 2.0 ** (1.0 / 6.0)
    inner = 0.95 * cutoff
    term = SiteTerm("lj/smooth", {"epsilon": {"1": 1.0}, "sigma": {"1": 1.0}}, {"inner": inner, "cutoff": cutoff})
    return BodySystem((body, body), (term,), Spring(10.0 * kt / inner**2, spring_length), units="reduced")


def compute_kt(temperature: float, units: str) -> float:
    """[energy] of a temperature in K, or, in reduced units, of one that is an energy already."""
    return GAS_CONSTANT * temperature if units == "molecular" else temperature
