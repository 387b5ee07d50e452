"""Structures on which an ensemble disagrees, and not all of one kind.

The structure of the largest disagreement is taken, then those whose predictions go together with its own are dropped,
and so on. With E_ik what member k of the ensemble predicts for structure i, c_i = E_i - mean_k E_ik says who is above
the mean and who below, and

    r_ij = |c_i . c_j| / (|c_i| |c_j|)

is 1 where the members quarrel over i as they do over j: one label settles both.
"""

import typing

import numpy

DROPPED_FRACTION = 0.05
"""Of the structures left, dropped after each choice: those of the largest r. At least one goes, the chosen one."""

FEWEST_LEFT = 5
"""With fewer structures left nothing more is chosen: what is left then goes together with what was chosen."""

N_DECIMALS = 12
"""To which r is known: structures whose r differs by rounding alone count as equal, and the first goes first."""


def compute_energy_disagreement(energies: numpy.ndarray, n_atoms: numpy.ndarray) -> numpy.ndarray:
    """Standard deviation over the members of the energy per atom.

    Args:
        energies: [kcal/mol] ``shape=(n_structures, n_members)``.
        n_atoms: of each structure, ``shape=(n_structures,)``.

    Returns:
        [kcal/mol] ``shape=(n_structures,)``.
    """
    return energies.std(axis=1) / n_atoms


def compute_force_disagreement(forces: numpy.ndarray) -> numpy.ndarray:
    """The largest standard deviation over the members of the force on an atom (Zhang et al., PRMaterials 3, 023804).

    Args:
        forces: [kcal/mol/Angstrom] ``shape=(n_members, n_structures, n_atoms, 3)``.

    Returns:
        max_a sqrt(mean_k |F_ka - mean_k F_ka|^2) [kcal/mol/Angstrom], ``shape=(n_structures,)``.
    """
    squares = ((forces - forces.mean(axis=0)) ** 2).sum(axis=-1)
    return numpy.sqrt(squares.mean(axis=0)).max(axis=-1)


class Selection(typing.NamedTuple):
    """What the rule makes of structures; all are indices of its arguments.

    Attributes:
        chosen: in the order in which they were chosen.
        left: neither chosen nor dropped, ascending.
    """

    chosen: list[int]
    left: list[int]


def select_by_disagreement(disagreement: numpy.ndarray, energies: numpy.ndarray, n_select: int) -> Selection:
    """Chooses the structures that are worth a label; of equals the first.

    Args:
        disagreement: ``shape=(n_structures,)``, as the functions above give it.
        energies: [kcal/mol] of the members, ``shape=(n_structures, n_members)``.
        n_select: at most so many are chosen; fewer where fewer than ``FEWEST_LEFT`` structures are left before.
    """
    deviations = energies - energies.mean(axis=1, keepdims=True)
    norms = numpy.sqrt((deviations**2).sum(axis=1, keepdims=True))
    directions = numpy.divide(deviations, norms, out=numpy.zeros_like(deviations), where=norms > 0.0)
    left = numpy.arange(len(disagreement))
    chosen: list[int] = []
    while len(chosen) < n_select and len(left) >= FEWEST_LEFT:
        best = int(disagreement[left].argmax())
        correlation = numpy.abs((directions[left] * directions[left[best]]).sum(axis=1)).round(N_DECIMALS)
        correlation[best] = numpy.inf
        chosen.append(int(left[best]))
        n_dropped = int(DROPPED_FRACTION * len(left)) + 1
        kept = numpy.argsort(-correlation, kind="stable")[n_dropped:]
        left = left[numpy.sort(kept)]
    return Selection(chosen, left.tolist())
