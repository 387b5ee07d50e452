"""Levels of theory for the tests, quick and with faults, by ``function:tests.calculators.made_up:NAME``."""

import os
import signal
import time

import numpy

from common.calculators.interface import CalculationError, EnergyForces

K = 3.0  # [kcal/mol/Angstrom^2]


def harmonic(numbers, coords, charge):
    """Every atom on a spring to the origin."""
    return EnergyForces(0.5 * K * float((coords**2).sum()), -K * coords)


def moody(numbers, coords, charge):
    """Fails in the way that the charge asks for; a harmonic well at charge 0."""
    if charge == 1:
        raise CalculationError("the SCF does not converge")
    if charge == 2:
        raise ZeroDivisionError("a bug")
    if charge == 3:
        return EnergyForces(float("nan"), 0.0 * coords)
    if charge == 4:
        return EnergyForces(1.0, numpy.full_like(coords, numpy.inf))
    if charge == 5:
        return EnergyForces(1.0, coords[:-1])
    if charge == 6:
        time.sleep(3600.0)
    if charge == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    if charge == 8:
        print("a table that somebody's Fortran prints", flush=True)
    return harmonic(numbers, coords, charge)
