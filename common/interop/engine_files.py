"""A fitted force field in other engines: files of one molecule for GROMACS or AMBER.

    python -m common.interop.engine_files outputs/runs/<run>/force-field.pt "CCO" ethanol.top
    python -m common.interop.engine_files outputs/runs/<run>/force-field.pt "CCO" ethanol.prmtop

The molecule is one of those in the ``.pt`` file, or in the one that a run was fitted from; it stands in vacuum, with an
ETKDG conformer to start from in the file beside (.gro, .inpcrd). Energies are those of the fit; bonds to hydrogen are
held by the engine's own option (constraints = h-bonds, ntc = 2). AMBER's files are written by ParmEd.
"""

import argparse
import pathlib

from common.forcefields.parameter_file import load_parameters
from common.interop.amber_export import write_amber
from common.interop.gromacs_export import write_gromacs
from common.interop.openmm_export import find_molecule
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles
from common.processes.stage import run_stage

SEED = 7
"""Of the conformer."""


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("force_field", type=pathlib.Path, help=".pt file: a parameters file, or a run's force field")
    parser.add_argument("smiles", help="SMILES of one of its molecules")
    parser.add_argument("output", type=pathlib.Path, help="what to write: .top (GROMACS) or .prmtop (AMBER)")
    parser.add_argument("--parameters", metavar="FILE", help="what a run was fitted from, if it is not where it was")
    arguments = parser.parse_args()
    if arguments.output.suffix not in (".top", ".prmtop"):
        raise ValueError(f"{arguments.output}: .top (GROMACS) or .prmtop (AMBER) is wanted")
    molecules = load_parameters(arguments.force_field, arguments.parameters)
    smiles = find_molecule(molecules, arguments.smiles)
    topology, force_field = molecules.topologies[smiles], molecules.force_field
    [coords] = embed_conformers(from_mapped_smiles(smiles), 1, SEED)
    if arguments.output.suffix == ".top":
        files = write_gromacs(arguments.output, topology, force_field, coords)
    else:
        files = write_amber(arguments.output, smiles, topology, force_field, coords)
    print(f"{' and '.join(map(str, files))}: {topology.n_atoms} atoms, in the order of {smiles}")


if __name__ == "__main__":
    run_stage(main)
