"""Potentials that are compared: learned ones, sums over the sites of a force field, and the exact one."""

import collections.abc
import dataclasses
import pathlib
import typing

import torch

from common.body_trajectories.systems import BodySystem
from common.body_trajectories.trajectories import Trajectories
from common.pair_networks.potential import LearnedPotential, load_learned_potential
from common.potentials.body_pairs import BodyPotential


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A potential with its name.

    Attributes:
        name: in tables and figures.
        learned: the learned potential; None for a sum over sites.
        sites: the system whose sites are summed over; None for a learned one.
        record: how it came about, plain values.
    """

    name: str
    learned: LearnedPotential | None
    sites: BodySystem | None
    record: dict[str, typing.Any]

    def build(self, system: BodySystem) -> BodyPotential:
        """What acts between the bodies of a system of the same kinds, without known terms."""
        if self.learned is not None:
            return self.learned.move(system).build_potential()
        assert self.sites is not None  # one of the two is there
        return dataclasses.replace(system, site_terms=self.sites.site_terms).build_site_potential()


EXACT = "all sites"
"""What the exact potential is called."""


def load_candidate(path: pathlib.Path, name: str, trajectories: Trajectories) -> Candidate:
    """The learned potential of a run, or of a file, for the bodies of these trajectories.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged, or of other bodies.
    """
    learned, record = load_learned_potential(path if path.is_file() else path / "potential.pt")
    ours, theirs = trajectories.system.kinds, learned.system.kinds
    if [(body.name, body.n_sites) for body in ours] != [(body.name, body.n_sites) for body in theirs]:
        raise ValueError(
            f"{path}: is a potential of {', '.join(body.name for body in theirs)}, not of these trajectories"
        )
    return Candidate(name, learned.cast(torch.float64), None, record)


def make_exact_candidate(system: BodySystem) -> Candidate | None:
    """The sum over sites that made the trajectories; None where it is not known."""
    return Candidate(EXACT, None, system, {}) if system.site_terms else None


def measure_window(candidates: collections.abc.Sequence[Candidate], interval: float) -> float:
    """[time] The longest training window of learned potentials that were trained on trajectories."""
    windows = [interval]
    for candidate in candidates:
        further, config = candidate.record.get("further", {}), candidate.record.get("config", {})
        if further.get("method") == "trajectory":
            windows.append(config["batch_length"] * further["frame_stride"] * interval)
    return max(windows)
