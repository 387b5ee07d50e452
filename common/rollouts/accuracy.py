"""Energies, forces and torques of potentials against the exact ones: on frames of the test split, and along cuts."""

import dataclasses
import math

import numpy
import torch

from common.body_trajectories.trajectories import Trajectories
from common.potentials.body_pairs import BodyPotential
from common.rollouts.candidates import Candidate

N_FRAMES = 8192
"""Frames of the test split, at most."""

N_CUT = 121
"""Distances of a cut."""

REACH = 4.0
"""A cut goes at least to so many radii of the body, whatever the distances of the data."""


@dataclasses.dataclass(frozen=True)
class Parity:
    """What a potential gives on the test frames.

    Attributes:
        energies, forces, torques: of the candidate and the exact ones, ``shape=(2, n)`` each, components of forces and
            torques one after the other.
    """

    energies: numpy.ndarray
    forces: numpy.ndarray
    torques: numpy.ndarray

    def summarise(self, kt: float) -> dict[str, float]:
        """Root mean square errors: of U over kT, of forces and torques relative to the exact ones'."""
        error = self.energies[0] - self.energies[1]
        return {
            "energy_rmse": _root(error),
            "energy_rmse_kt": _root(error) / kt,
            "energy_bias_kt": float(error.mean()) / kt,
            "energy_spread_kt": float(self.energies[1].std()) / kt,
            "force_relative": _root(self.forces[0] - self.forces[1]) / _root(self.forces[1]),
            "torque_relative": _root(self.torques[0] - self.torques[1]) / max(_root(self.torques[1]), 1e-300),
        }


def _root(values: numpy.ndarray) -> float:
    return float(numpy.sqrt(numpy.mean(values**2)))


def compute_parity(candidate: Candidate, exact: Candidate, data: Trajectories) -> Parity:
    """On frames of the test split, evenly over all of them."""
    positions, quaternions = (values.flatten(0, 1) for values in data.motion[:2])
    chosen = torch.linspace(0, len(positions) - 1, min(N_FRAMES, len(positions))).long()
    places = positions[chosen], quaternions[chosen]
    with torch.no_grad():
        pairs = [one.build(data.system).compute_all(*places) for one in (candidate, exact)]
    return Parity(*(numpy.stack([values.flatten().numpy() for values in both]) for both in zip(*pairs, strict=True)))


@dataclasses.dataclass(frozen=True)
class Cut:
    """Two bodies that move apart along a line.

    Attributes:
        name: "stacked", "T" or "edge".
        distances: [length] of the centres, ``shape=(n,)``.
        energies: [energy] by candidate, ``shape=(n,)``.
    """

    name: str
    distances: numpy.ndarray
    energies: dict[str, numpy.ndarray]

    def find_minimum(self, name: str) -> float:
        """[energy] The least energy where the exact one, or the first, is not yet steep."""
        return float(self.energies[name].min())


_HALF = math.sqrt(0.5)

_CUTS = {
    # the direction of the second body from the first, and the second's orientation
    "stacked": ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0)),
    "T": ((0.0, 0.0, 1.0), (_HALF, 0.0, _HALF, 0.0)),
    "edge": ((1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0)),
}
"""Along z with axes parallel, along z with the second's axis across, along x with axes parallel."""


def compute_cuts(candidates: list[Candidate], exact: Candidate | None, data: Trajectories, kt: float) -> list[Cut]:
    """Cuts of two bodies of the first kind, where the exact energy is below 8 kT, or over the distances of the data."""
    body = data.system.kinds[0]
    pair = dataclasses.replace(data.system, bodies=(body, body), spring=None, box=None, cutoff=None)
    potentials = {one.name: one.build(pair) for one in ([exact] if exact else []) + candidates}
    widest = float((data.motion.positions[:, :, 1] - data.motion.positions[:, :, 0]).norm(dim=-1).max())
    reach = max(1.25 * widest, REACH * float(numpy.linalg.norm(body.sites, axis=1).max()))
    cuts = []
    for name, (direction, quaternion) in _CUTS.items():
        distances = torch.linspace(0.02 * reach, reach, 8 * N_CUT, dtype=torch.float64)
        energies = {
            one: _compute_along(potential, distances, direction, quaternion) for one, potential in potentials.items()
        }
        first = next(iter(energies.values()))
        inside = numpy.flatnonzero(first > 8.0 * kt)
        start = min(inside[-1] + 1, len(distances) - 2) if len(inside) else 0
        kept = numpy.linspace(start, len(distances) - 1, N_CUT).astype(int)
        cuts.append(Cut(name, distances.numpy()[kept], {one: values[kept] for one, values in energies.items()}))
    return cuts


def _compute_along(
    potential: BodyPotential, distances: torch.Tensor, direction: tuple[float, ...], quaternion: tuple[float, ...]
) -> numpy.ndarray:
    positions = torch.zeros(len(distances), 2, 3, dtype=torch.float64)
    positions[:, 1] = distances[:, None] * torch.tensor(direction, dtype=torch.float64)
    quaternions = torch.zeros(len(distances), 2, 4, dtype=torch.float64)
    quaternions[:, 0, 0] = 1.0
    quaternions[:, 1] = torch.tensor(quaternion, dtype=torch.float64)
    with torch.no_grad():
        return potential.compute_energy(positions, quaternions).numpy()
