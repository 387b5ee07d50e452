"""GROMACS files of a parameterised molecule: a topology (.top) and coordinates (.gro).

    python -m common.interop.gromacs_export outputs/runs/<run>/force-field.pt "CCO" ethanol.top

``ethanol.gro`` is written beside the topology, with an ETKDG conformer to start from. All parameters stand where they
are used, with all their digits, so that energies are those of the fit; constraints are set in the .mdp file
(``constraints = h-bonds``). GROMACS writes harmonic terms as k/2 (q - q0)², as this project does, and knows no idivf:
it is divided into k. Formats: GROMACS reference manual 2024, "File formats" and "Topology file formats".
"""

import argparse
import collections
import pathlib

import numpy

from common.files.atomic import replace_atomically
from common.forcefields.parameter_file import load_parameters
from common.forcefields.tensors import TensorForceField, TensorPotential, TensorTopology
from common.interop.openmm_export import NANOMETER_PER_ANGSTROM, find_molecule, list_terms
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles
from common.processes.stage import run_stage
from common.units import KILOJOULE_PER_KILOCALORIE
