"""The task that costs money: one calculation, kept in the ledger before anybody hears of it.

Loads neither torch nor the campaign: a worker for calculations stays small.
"""

import dataclasses

import numpy

from common.calculators.calculation import Calculation, calculate
from common.calculators.isolation import IsolatedCalculator
from common.calculators.ledger import Ledger, LedgerEntry, compute_key


@dataclasses.dataclass(frozen=True)
class LabelTask:
    """A structure to be computed.

    Attributes:
        numbers: atomic numbers, ``shape=(n_atoms,)``.
        coords: [Angstrom] ``shape=(n_atoms, 3)`` float64.
        charge: [e].
        level: its name, see :mod:`common.calculators.registry`.
        fingerprint: of the level.
        folder: of the ledger.
        time_limit: [s] for a calculation; None for no limit.
    """

    numbers: numpy.ndarray
    coords: numpy.ndarray
    charge: int
    level: str
    fingerprint: str
    folder: str
    time_limit: float | None

    @property
    def key(self) -> str:
        """Names the contents of the calculation."""
        return compute_key(self.numbers, self.coords, self.charge, self.fingerprint)


@dataclasses.dataclass(frozen=True)
class LabelResult:
    """What came of it; the numbers themselves stand in the ledger.

    Attributes:
        key: of the calculation.
        energy: [kcal/mol]; None where it failed.
        max_force: [kcal/mol/Angstrom] the largest force on an atom; None where it failed.
        reason: why it failed; "" where it did not.
        seconds: that the calculation took, whenever it was done.
    """

    key: str
    energy: float | None
    max_force: float | None
    reason: str
    seconds: float


_calculators: dict[tuple[str, float | None], IsolatedCalculator] = {}
"""Of this worker: the process of a level is started once."""


def label_structure(task: LabelTask) -> LabelResult:
    """Computes a structure, unless the ledger has it.

    Raises:
        RuntimeError: the level cannot be made here, e.g. since a package is missing on this node.
        OSError: the result could not be written; it is lost, and nothing was paid for in vain but time.
    """
    ledger = Ledger(task.folder)
    entry = ledger.read(task.key)
    if entry is None:
        where = (task.level, task.time_limit)
        if where not in _calculators:
            _calculators[where] = IsolatedCalculator(task.level, task.time_limit)
        calculation = calculate(_calculators[where], task.numbers, task.coords, task.charge)
        entry = LedgerEntry(task.numbers, task.coords, task.charge, task.fingerprint, calculation)
        ledger.write(entry)
    return summarize(task.key, entry.calculation)


def summarize(key: str, calculation: Calculation) -> LabelResult:
    """A calculation without its arrays."""
    forces = calculation.forces
    max_force = None if forces is None else float(numpy.linalg.norm(forces, axis=1).max())
    return LabelResult(key, calculation.energy, max_force, calculation.reason, calculation.seconds)


def close_calculators() -> None:
    """Ends the processes that :func:`label_structure` has started in this one."""
    while _calculators:
        _calculators.popitem()[1].close()
