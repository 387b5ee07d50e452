"""OpenMM systems of parameterised molecules, so that a fitted force field can be run at once.

    python -m common.interop.openmm_export outputs/runs/<run>/force-field.pt "CCO" ethanol.xml
    python -m common.interop.openmm_export outputs/runs/<run>/force-field.pt "CCO" ethanol.xml --constraints

The molecule is one of those in the ``.pt`` file, or in the one that a run was fitted from; a fitted ``.offxml`` is
applied to others by the stage that parameterises. The XML holds the System alone: masses and forces, in the gas phase
without cut-off. OpenMM writes harmonic terms as k/2 (q - q0)², as this project does, and knows no idivf: it is divided
into k.

OpenMM is needed here and nowhere else; it is loaded when asked for.
"""

import argparse
import collections.abc
import pathlib
import typing

from rdkit import Chem

from common.files.artifacts import ArtifactError
from common.files.atomic import replace_atomically
from common.forcefields.energy import mix_lorentz_berthelot
from common.forcefields.parameter_file import load_parameters
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField, TensorPotential, TensorTopology
from common.molecules.mapped_smiles import from_mapped_smiles
from common.processes.stage import run_stage
from common.smirnoff.offxml import ForceFieldFile, parse_force_field
from common.smirnoff.quantities import parse_quantity
from common.smirnoff.smirks import compile_smirks
from common.units import KILOJOULE_PER_KILOCALORIE

NANOMETER_PER_ANGSTROM = 0.1

FORCE_GROUPS = {"Bonds": 0, "Angles": 1, "ProperTorsions": 2, "ImproperTorsions": 3, "vdW": 4, "Electrostatics": 4}
"""OpenMM's force group of each type; Lennard-Jones and Coulomb are one force there."""

Constraint = tuple[int, int, float]
"""Two atoms and their distance [Angstrom]."""


def load_openmm() -> typing.Any:
    """The module ``openmm``.

    Raises:
        RuntimeError: it is not installed; the message says how to install it.
    """
    try:
        import openmm
        import openmm.app
    except ImportError as error:
        raise RuntimeError(
            f"OpenMM is needed to export systems and cannot be imported ({error}): pip install openmm, or conda "
            "install -c conda-forge openmm"
        ) from error
    return openmm


def build_openmm_system(
    topology: TensorTopology, force_field: TensorForceField, constraints: collections.abc.Sequence[Constraint] = ()
) -> typing.Any:
    """The ``openmm.System`` of one molecule, each type in its force group of ``FORCE_GROUPS``.

    Args:
        topology: the molecule.
        force_field: its parameters.
        constraints: distances to hold fixed in dynamics, see :func:`find_constraints`; none by default. Bonds that
            they fix keep their harmonic term, so that energies stay those of the fit.

    Raises:
        RuntimeError: OpenMM is not installed.
        ValueError: interactions are scaled in a way that OpenMM's NonbondedForce cannot express.
    """
    openmm = load_openmm()
    system = openmm.System()
    for number in topology.atomic_nums.tolist():
        system.addParticle(openmm.app.Element.getByAtomicNumber(number).mass)
    for i, j, distance in constraints:
        system.addConstraint(i, j, distance * NANOMETER_PER_ANGSTROM)
    potentials = force_field.potentials_by_type
    for type_, build in _VALENCE_BUILDERS.items():
        if type_ in potentials:
            force = build(openmm, topology, potentials[type_])
            force.setName(type_)
            force.setForceGroup(FORCE_GROUPS[type_])
            system.addForce(force)
    if "vdW" in potentials or "Electrostatics" in potentials:
        system.addForce(_build_nonbonded(openmm, topology, potentials))
    return system


def list_terms(
    topology: TensorTopology, potential: TensorPotential
) -> collections.abc.Iterator[tuple[list[int], dict]]:
    """The atoms and the parameters, by column name, of each interaction of one type."""
    map_ = topology.get_valence_map(potential.type)
    values = potential.parameters.detach()[map_.parameter_idxs].tolist()
    for atoms, row in zip(map_.particle_idxs.tolist(), values, strict=True):
        yield atoms, dict(zip(potential.parameter_cols, row, strict=True))


def _build_bonds(openmm: typing.Any, topology: TensorTopology, potential: TensorPotential) -> typing.Any:
    force = openmm.HarmonicBondForce()
    k_unit = KILOJOULE_PER_KILOCALORIE / NANOMETER_PER_ANGSTROM**2
    for atoms, row in list_terms(topology, potential):
        force.addBond(*atoms, row["length"] * NANOMETER_PER_ANGSTROM, row["k"] * k_unit)
    return force


def _build_angles(openmm: typing.Any, topology: TensorTopology, potential: TensorPotential) -> typing.Any:
    force = openmm.HarmonicAngleForce()
    for atoms, row in list_terms(topology, potential):
        force.addAngle(*atoms, row["angle"], row["k"] * KILOJOULE_PER_KILOCALORIE)
    return force


def _build_torsions(openmm: typing.Any, topology: TensorTopology, potential: TensorPotential) -> typing.Any:
    force = openmm.PeriodicTorsionForce()
    for atoms, row in list_terms(topology, potential):
        k = row["k"] / row["idivf"] * KILOJOULE_PER_KILOCALORIE
        force.addTorsion(*atoms, int(row["periodicity"]), row["phase"], k)
    return force


_VALENCE_BUILDERS = {
    "Bonds": _build_bonds,
    "Angles": _build_angles,
    "ProperTorsions": _build_torsions,
    "ImproperTorsions": _build_torsions,
}


def _build_nonbonded(
    openmm: typing.Any, topology: TensorTopology, potentials: dict[str, TensorPotential]
) -> typing.Any:
    """Lennard-Jones and Coulomb between all pairs, pairs up to three bonds apart scaled as exceptions."""
    vdw, coulomb = potentials.get("vdW"), potentials.get("Electrostatics")
    epsilon, sigma = get_column(topology, vdw, "epsilon"), get_column(topology, vdw, "sigma")
    charge = get_column(topology, coulomb, "charge")
    force = openmm.NonbondedForce()
    force.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
    force.setName("Nonbonded")
    force.setForceGroup(FORCE_GROUPS["vdW"])
    for q, s, e in zip(charge.tolist(), sigma.tolist(), epsilon.tolist(), strict=True):
        force.addParticle(q, s * NANOMETER_PER_ANGSTROM, e * KILOJOULE_PER_KILOCALORIE)
    scales: dict[tuple[int, int], dict[str, float]] = collections.defaultdict(dict)
    for potential in filter(None, (vdw, coulomb)):
        for pair, scale in list_scales(topology, potential):
            scales[pair][potential.type] = scale
    for (i, j), scale_of in scales.items():
        e, s = mix_lorentz_berthelot(epsilon[i], sigma[i], epsilon[j], sigma[j])
        force.addException(
            i,
            j,
            (scale_of.get("Electrostatics", 1.0) * charge[i] * charge[j]).item(),
            s.item() * NANOMETER_PER_ANGSTROM,
            scale_of.get("vdW", 1.0) * e.item() * KILOJOULE_PER_KILOCALORIE,
        )
    return force


def get_column(topology: TensorTopology, potential: TensorPotential | None, name: str) -> typing.Any:
    """One value for each atom; zeros where the force field has no such potential."""
    if potential is None:
        return topology.atomic_nums.double() * 0.0
    return potential.column(name).detach()[topology.parameters[potential.type].parameter_idxs]


def list_scales(topology: TensorTopology, potential: TensorPotential) -> list[tuple[tuple[int, int], float]]:
    """Pairs of atoms up to three bonds apart, and what their interaction is multiplied by.

    Raises:
        ValueError: pairs further apart are scaled.
    """
    if potential.attribute("scale_15").item() != 1.0:
        raise ValueError(f"{potential.type}: scale_15 must be 1 for OpenMM's NonbondedForce, GROMACS and AMBER")
    map_ = topology.get_nonbonded_map(potential.type)
    factors = potential.get_scales(map_.exclusion_scale_idxs).tolist()
    return [((min(pair), max(pair)), factor) for pair, factor in zip(map_.exclusions.tolist(), factors, strict=True)]


def find_constraints(
    mol: Chem.Mol, topology: TensorTopology, force_field: TensorForceField, file: ForceFieldFile
) -> list[Constraint]:
    """The distances that a force field file fixes in dynamics; of the patterns that match a pair, the last one counts.

    A constraint without a distance takes the equilibrium length of its bond, which may be a fitted one.

    Args:
        mol: the molecule, with atoms in the order of the topology.
        topology: the molecule as parameterised.
        force_field: the values, fitted ones among them.
        file: the force field file, for its section Constraints.

    Raises:
        ValueError: a constraint without a distance joins atoms that are not bonded.
    """
    if "Constraints" not in file.sections:
        return []
    found = {}
    for parameter in file.sections["Constraints"].parameters:
        for i, j in compile_smirks(parameter.smirks).find_matches(mol):
            found[min(i, j), max(i, j)] = parameter
    lengths = {}
    if "Bonds" in force_field.potentials_by_type:
        terms = list_terms(topology, force_field.potentials_by_type["Bonds"])
        lengths = {(min(atoms), max(atoms)): row["length"] for atoms, row in terms}
    constraints = []
    for pair, parameter in sorted(found.items()):
        if "distance" not in parameter.attributes and pair not in lengths:
            raise ValueError(f"{file.name}: Constraints, SMIRKS {parameter.smirks!r}: no distance, and no bond has one")
        given = parameter.attributes.get("distance")
        constraints.append((*pair, parse_quantity(given, "angstrom") if given else lengths[pair]))
    return constraints


def write_openmm_xml(
    path: str | pathlib.Path,
    topology: TensorTopology,
    force_field: TensorForceField,
    constraints: collections.abc.Sequence[Constraint] = (),
) -> None:
    """Writes the system that :func:`build_openmm_system` builds, of the same arguments, as OpenMM's XML.

    ``openmm.XmlSerializer.deserialize`` reads it. Nothing stands at ``path`` until it is whole.
    """
    system = build_openmm_system(topology, force_field, constraints)
    with replace_atomically(path) as beside:
        beside.write_text(load_openmm().XmlSerializer.serialize(system))


def find_molecule(molecules: ParameterizedMolecules, smiles: str) -> str:
    """The mapped SMILES, among those of a ``.pt`` file, of a molecule given by any SMILES.

    Raises:
        ValueError: it is not among them, or cannot be read.
    """
    if smiles in molecules.topologies:
        return smiles
    wanted = Chem.CanonSmiles(smiles) if Chem.MolFromSmiles(smiles) else None
    if wanted is None:
        raise ValueError(f"{smiles!r}: RDKit cannot read this SMILES")
    for mapped in molecules.topologies:
        if Chem.MolToSmiles(Chem.RemoveHs(from_mapped_smiles(mapped))) == wanted:
            return mapped
    raise ArtifactError(
        f"{smiles}: not among the {len(molecules.topologies)} molecules",
        "parameters",
        detail=" with --force-field <file.offxml> --smiles <file of mapped SMILES>",
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("force_field", type=pathlib.Path, help=".pt file: a parameters file, or a run's force field")
    parser.add_argument("smiles", help="SMILES of one of its molecules")
    parser.add_argument("output", type=pathlib.Path, help="XML file to write")
    parser.add_argument("--constraints", action="store_true", help="add the force field's constraints, for dynamics")
    parser.add_argument("--parameters", metavar="FILE", help="what a run was fitted from, if it is not where it was")
    arguments = parser.parse_args()

    molecules = load_parameters(arguments.force_field, arguments.parameters)
    smiles = find_molecule(molecules, arguments.smiles)
    topology, constraints = molecules.topologies[smiles], []
    if arguments.constraints:
        file = parse_force_field(molecules.provenance["offxml"], molecules.provenance["force_field"])
        constraints = find_constraints(from_mapped_smiles(smiles), topology, molecules.force_field, file)
    write_openmm_xml(arguments.output, topology, molecules.force_field, constraints)
    print(f"{arguments.output}: {topology.n_atoms} atoms, {len(constraints)} constraints, in the order of {smiles}")


if __name__ == "__main__":
    run_stage(main)
