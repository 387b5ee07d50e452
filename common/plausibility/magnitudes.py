"""Forces that no molecule has, and forces that do not belong to the coordinates beside them."""

import numpy

from common.plausibility.doubts import Doubt

MAX_FORCE = 5000.0
"""[kcal/mol/Angstrom] On one atom: atoms that overlap have such forces, and Hessians in their place."""

MAX_TORQUE = 0.25
"""The torque of all forces over the sum of the torques of each, which is 1 where all of them turn one way: the forces
of an isolated molecule cancel."""

MIN_FORCE = 1.0
"""[kcal/mol/Angstrom] Root mean square below which convergence noise counts."""


def check_magnitudes(coords: numpy.ndarray, forces: numpy.ndarray) -> list[Doubt]:
    """Doubts about forces as such.

    Args:
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        forces: [kcal/mol/Angstrom] the same shape.
    """
    doubts = []
    largest = numpy.linalg.norm(forces, axis=-1).max(-1)
    if (largest > MAX_FORCE).any():
        doubts.append(
            Doubt(
                "absurd forces",
                f"{int((largest > MAX_FORCE).sum())} of {len(forces)} conformers have forces of up to "
                f"{largest.max():.0f} kcal/mol/A",
            )
        )
    ratio = compute_torque_ratio(coords, forces)
    if ratio is not None and ratio > MAX_TORQUE:
        doubts.append(Doubt("orientation", f"the torque of the forces is {ratio:.2f} of what it could be, not 0"))
    return doubts


def compute_torque_ratio(coords: numpy.ndarray, forces: numpy.ndarray) -> float | None:
    """The median over conformers of |sum r x F| / sum |r x F|; None where forces are too small or atoms too few.

    Args:
        coords: [Angstrom] ``shape=(n_confs, n_atoms, 3)``.
        forces: [kcal/mol/Angstrom] the same shape.
    """
    used = numpy.sqrt((forces**2).sum(-1).mean(-1)) > MIN_FORCE
    if coords.shape[1] < 4 or used.sum() < 2:
        return None
    arms = coords[used] - coords[used].mean(1, keepdims=True)
    torques = numpy.cross(arms, forces[used])
    total = numpy.linalg.norm(torques, axis=-1).sum(-1)
    net = numpy.linalg.norm(torques.sum(1), axis=-1)
    return float(numpy.median(net / numpy.maximum(total, 1e-300)))
