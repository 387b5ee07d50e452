"""Time for a conformer to be minimised, free and with a dihedral held, against OpenMM's LocalEnergyMinimizer.

    python benchmarks/relaxation.py
    python benchmarks/relaxation.py --force-field openff-2.1.0.offxml --scans rowley-biaryl.jsonl.gz

Without ``--scans`` (JSON lines with mapped ``smiles``, ``coords``, ``dihedral``, ``angles`` [degree]) the scans are of
biphenyl and butane, turned stiffly. Both start at the same geometries, in one process and one thread, one after the
other; CPU time. OpenMM: Reference platform, double precision, to a root mean square force of 0.01 kJ/mol/nm; a dihedral
is held by a spring.
"""

import argparse
import gzip
import json
import pathlib
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy  # noqa: E402

from common.interop.openmm_export import NANOMETER_PER_ANGSTROM, build_openmm_system, load_openmm  # noqa: E402
from common.processes.threads import use_one_thread  # noqa: E402
from common.relaxation.minimization import HeldDihedral, minimize  # noqa: E402
from common.relaxation.surface import Surface  # noqa: E402
from common.smirnoff.find import find_force_field  # noqa: E402
from common.smirnoff.offxml import read_force_field  # noqa: E402
from common.smirnoff.parameterize import parameterize  # noqa: E402
from common.units import KILOJOULE_PER_KILOCALORIE  # noqa: E402

STIFFNESS = 1e6
"""[kJ/mol/rad²] of the spring that holds a dihedral in OpenMM."""

TOLERANCE = 0.01
"""[kJ/mol/nm] at which OpenMM stops: 2.4e-4 kcal/mol/Angstrom."""


def make_scans() -> list[dict]:
    """Stiff scans of butane and biphenyl."""
    from common.molecules.conformers import embed_conformers
    from common.molecules.mapped_smiles import from_mapped_smiles
    from tests.relaxation.openmm_reference import MOLECULES, turn

    angles = numpy.arange(-165.0, 181.0, 15.0)
    scans = []
    for name, (smiles, atoms) in MOLECULES.items():
        start = embed_conformers(from_mapped_smiles(smiles), 1, seed=11)[0]
        coords = turn(name, start, numpy.radians(angles))
        scans.append({"smiles": smiles, "coords": coords, "dihedral": atoms, "angles": angles})
    return scans


def run_openmm(topology, force_field, coords: numpy.ndarray, held: HeldDihedral | None) -> tuple[float, numpy.ndarray]:
    """CPU seconds, without those to set up, and energies [kcal/mol]."""
    openmm = load_openmm()
    system = build_openmm_system(topology, force_field)
    if held is not None:
        spring = openmm.CustomTorsionForce("0.5*k*d^2; d=min(x, 6.283185307179586-x); x=abs(theta-at)")
        spring.addGlobalParameter("k", STIFFNESS)
        spring.addPerTorsionParameter("at")
        spring.addTorsion(*held.atoms, [0.0])
        spring.setForceGroup(31)
        system.addForce(spring)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    energies, start = [], time.process_time()
    for i, positions in enumerate(coords):
        if held is not None:
            spring.setTorsionParameters(0, *held.atoms, [float(held.angles[i])])
            spring.updateParametersInContext(context)
        context.setPositions(positions * NANOMETER_PER_ANGSTROM)
        openmm.LocalEnergyMinimizer.minimize(context, TOLERANCE, 0)
        state = context.getState(getEnergy=True, groups=0x7FFFFFFF)
        energies.append(state.getPotentialEnergy()._value / KILOJOULE_PER_KILOCALORIE)
    return time.process_time() - start, numpy.array(energies)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--force-field", default=str(ROOT / "example" / "starter.offxml"))
    parser.add_argument("--scans", type=pathlib.Path)
    parser.add_argument("--n-scans", type=int, default=12)
    arguments = parser.parse_args()
    use_one_thread()
    scans = make_scans()
    if arguments.scans:
        with gzip.open(arguments.scans, "rt") as file:
            scans = [json.loads(line) for line in file][: arguments.n_scans]
    molecules = parameterize(
        read_force_field(find_force_field(arguments.force_field)), [scan["smiles"] for scan in scans], 1
    )
    rows = []
    for scan in scans:
        topology = molecules.topologies.get(scan["smiles"])
        if topology is None:
            continue
        coords = numpy.array(scan["coords"])
        held = HeldDihedral(tuple(scan["dihedral"]), numpy.radians(scan["angles"]))
        row = [topology.n_atoms, len(coords)]
        for hold in (None, held):
            begin = time.process_time()
            own = minimize(Surface(topology, molecules.force_field), coords, hold)
            seconds = time.process_time() - begin
            others, energies = run_openmm(topology, molecules.force_field, coords, hold)
            same = int((numpy.abs(own.energy - energies) < 0.01).sum())
            row += [1e3 * seconds / len(coords), 1e3 * others / len(coords), own.n_steps.mean(), same]
        rows.append(row)
        print(
            f"{row[0]:3d} atoms, {row[1]} conformers; ms each, ours and OpenMM: free {row[2]:6.1f} {row[3]:6.1f} "
            f"({row[4]:.0f} steps, {row[5]} at the same minimum), held {row[6]:6.1f} {row[7]:6.1f} "
            f"({row[8]:.0f} steps, {row[9]} the same)",
            flush=True,
        )
    table = numpy.array(rows)
    print(
        f"median of ours over OpenMM: free {numpy.median(table[:, 2] / table[:, 3]):.2f}, "
        f"held {numpy.median(table[:, 6] / table[:, 7]):.2f}"
    )


if __name__ == "__main__":
    main()
