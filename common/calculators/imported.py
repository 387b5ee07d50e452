"""Levels of theory of the user's own: a function of this interface, or any ASE calculator, by import path."""

import collections.abc
import importlib
import typing

import numpy

from common.calculators.interface import EnergyForces
from common.units import EV_TO_KCAL_PER_MOL


def import_object(module: str, name: str) -> typing.Any:
    """What ``module`` calls ``name``.

    Raises:
        ValueError: the module cannot be imported, or has no such name; the message says what to do.
    """
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ValueError(f"cannot import {module!r} ({error}); install it, or put its folder on PYTHONPATH") from error
    except AttributeError as error:
        raise ValueError(f"the module {module!r} has no {name!r}") from error


class AseCalculator:
    """A :class:`common.calculators.interface.Calculator` made of an ASE calculator.

    The charge goes into ``atoms.info["charge"]``, where calculators that know of charges look for it. Nothing is
    carried over from one geometry to the next.
    """

    def __init__(self, factory: collections.abc.Callable[..., typing.Any], options: dict[str, typing.Any]):
        """Makes the ASE calculator, ``factory(**options)``."""
        self._calculator = factory(**options)

    def __call__(self, numbers: numpy.ndarray, coords: numpy.ndarray, charge: int) -> EnergyForces:
        import ase

        atoms = ase.Atoms(numbers=numbers, positions=coords, info={"charge": charge, "spin": 1})
        reset = getattr(self._calculator, "reset", None)
        if reset is not None:
            reset()
        atoms.calc = self._calculator
        energy = float(atoms.get_potential_energy()) * EV_TO_KCAL_PER_MOL
        forces = numpy.asarray(atoms.get_forces(), dtype=numpy.float64) * EV_TO_KCAL_PER_MOL
        return EnergyForces(energy, forces)
