"""Files of other engines, read and evaluated by OpenMM."""

import pathlib
import typing

import numpy
import pytest

from common.interop.openmm_export import NANOMETER_PER_ANGSTROM
from common.units import KILOJOULE_PER_KILOCALORIE

FILES_LEFT_OPEN = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
"""Marks of tests whose files are read by others' readers, which leave them open."""

WATER = "[O:1]([H:2])[H:3]"
"""Rigid, without terms, in the reference energies."""


def evaluate(system: typing.Any, coords: numpy.ndarray) -> float:
    """Energy [kcal/mol] of a conformer [Angstrom], in double precision."""
    import openmm

    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(coords * NANOMETER_PER_ANGSTROM)
    energy = context.getState(getEnergy=True).getPotentialEnergy()
    return energy.value_in_unit(openmm.unit.kilojoule_per_mole) / KILOJOULE_PER_KILOCALORIE


def read_gromacs(path: pathlib.Path) -> tuple[typing.Any, numpy.ndarray]:
    """The system of a .top, and the coordinates [Angstrom] of the .gro beside it."""
    import openmm.app

    system = openmm.app.GromacsTopFile(str(path)).createSystem(
        nonbondedMethod=openmm.app.NoCutoff, removeCMMotion=False
    )
    return system, _get_angstrom(openmm.app.GromacsGroFile(str(path.with_suffix(".gro"))))


def read_amber(path: pathlib.Path) -> tuple[typing.Any, numpy.ndarray]:
    """The system of a .prmtop, and the coordinates [Angstrom] of the .inpcrd beside it."""
    import openmm.app

    system = openmm.app.AmberPrmtopFile(str(path)).createSystem(
        nonbondedMethod=openmm.app.NoCutoff, removeCMMotion=False
    )
    return system, _get_angstrom(openmm.app.AmberInpcrdFile(str(path.with_suffix(".inpcrd"))))


def _get_angstrom(file: typing.Any) -> numpy.ndarray:
    import openmm

    return numpy.array(file.positions.value_in_unit(openmm.unit.angstrom))
