"""What OpenMM makes of the same geometries: free minima, and minima with a dihedral held by a stiff spring.

    python -m tests.relaxation.openmm_reference

writes tests/data/relaxation/openmm.json anew: starting geometries, and what OpenMM's minimiser makes of them.
"""

import json
import math

import numpy

from common.forcefields.tensors import ParameterizedMolecules
from common.interop.openmm_export import NANOMETER_PER_ANGSTROM, build_openmm_system, load_openmm
from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.units import KILOJOULE_PER_KILOCALORIE
from tests.helpers import DATA, ROOT

REFERENCE = DATA / "relaxation" / "openmm.json"

MOLECULES = {
    "butane": (
        "[C:1]([C:2]([C:3]([C:4]([H:12])([H:13])[H:14])([H:10])[H:11])([H:8])[H:9])([H:5])([H:6])[H:7]",
        (0, 1, 2, 3),
    ),
    "biphenyl": (
        "[c:1]1([H:13])[c:2]([H:14])[c:3]([H:15])[c:4](-[c:7]2[c:8]([H:18])[c:9]([H:19])[c:10]([H:20])[c:11]([H:21])"
        "[c:12]2[H:22])[c:5]([H:16])[c:6]1[H:17]",
        (2, 3, 6, 7),
    ),
}
"""Mapped SMILES, and the dihedral that is held."""

N_POINTS = 12

STIFFNESS = 1e6
"""[kJ/mol/rad²] of the spring: a torque of 40 kJ/mol/rad turns it by 0.002 degree, which costs 0.0002 kcal/mol."""

TOLERANCE = 1e-3
"""[kJ/mol/nm] root mean square force at which OpenMM's minimiser stops."""


def parameterize_molecules() -> ParameterizedMolecules:
    """The molecules with the parameters of the example's force field."""
    smiles = [one for one, _ in MOLECULES.values()]
    return parameterize(read_force_field(ROOT / "example" / "starter.offxml"), smiles, 1)


def minimize_by_openmm(
    molecules: ParameterizedMolecules, name: str, coords: numpy.ndarray, angle: float | None
) -> tuple[float, numpy.ndarray]:
    """Energy [kcal/mol], without that of the spring, and coordinates [Angstrom] of a minimum.

    Args:
        molecules: with parameters.
        name: of the molecule.
        coords: [Angstrom] where to start, ``shape=(n_atoms, 3)``.
        angle: [radian] at which the dihedral is held; None: all is free.
    """
    openmm = load_openmm()
    smiles, atoms = MOLECULES[name]
    system = build_openmm_system(molecules.topologies[smiles], molecules.force_field)
    if angle is not None:
        spring = openmm.CustomTorsionForce(f"0.5*k*d^2; d=min(x, {2.0 * math.pi}-x); x=abs(theta-at)")
        spring.addGlobalParameter("k", STIFFNESS)
        spring.addPerTorsionParameter("at")
        spring.addTorsion(*atoms, [angle])
        spring.setForceGroup(31)
        system.addForce(spring)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(coords * NANOMETER_PER_ANGSTROM)
    for _ in range(3):  # it stops early now and then, and goes on when it is asked again
        openmm.LocalEnergyMinimizer.minimize(context, TOLERANCE, 0)
    state = context.getState(getEnergy=True, getPositions=True, groups=~(1 << 31) & 0xFFFFFFFF)
    energy = state.getPotentialEnergy().value_in_unit(openmm.unit.kilojoule_per_mole) / KILOJOULE_PER_KILOCALORIE
    return energy, state.getPositions(asNumpy=True)._value / NANOMETER_PER_ANGSTROM


def turn(name: str, coords: numpy.ndarray, angles: numpy.ndarray) -> numpy.ndarray:
    """A geometry with the dihedral of a molecule at each of some angles [radian], all else as it was."""
    from rdkit.Chem import rdMolTransforms

    smiles, atoms = MOLECULES[name]
    mol = attach_conformers(from_mapped_smiles(smiles), coords[None])
    turned = []
    for angle in angles:
        rdMolTransforms.SetDihedralRad(mol.GetConformer(), *atoms, float(angle))
        turned.append(mol.GetConformer().GetPositions())
    return numpy.array(turned)


def make_reference() -> dict:
    """By molecule: where it starts, and where OpenMM ends."""
    molecules, reference = parameterize_molecules(), {}
    angles = numpy.radians(numpy.arange(N_POINTS) * 360.0 / N_POINTS - 165.0)
    for name, (smiles, _) in MOLECULES.items():
        start = embed_conformers(from_mapped_smiles(smiles), 1, seed=11)[0]
        scan = [
            minimize_by_openmm(molecules, name, *pair) for pair in zip(turn(name, start, angles), angles, strict=True)
        ]
        energy, coords = minimize_by_openmm(molecules, name, start, None)
        reference[name] = {
            "start": start.round(6).tolist(),
            "angles": angles.tolist(),
            "energies": [one for one, _ in scan],
            "minimum": {"energy": energy, "coords": coords.round(6).tolist()},
        }
    return reference


if __name__ == "__main__":
    REFERENCE.parent.mkdir(parents=True, exist_ok=True)
    REFERENCE.write_text(json.dumps(make_reference(), indent=1) + "\n")
