"""The frames that learning goes back to: those of the last epochs, each with the energy it was made under.

Frames are dealt to blocks by their replica, the same blocks whatever the number of processes. Everything that is summed
is summed within blocks first, so that one process and many give the same numbers to the last bit.
"""

import collections.abc
import dataclasses

import torch

from common.observables.observable import Observable
from common.potentials.potential import Potential
from common.replicas.epochs import Frames
from common.stability.reweighting import Samples

SCORED_AT_ONCE = 256
"""Frames whose observables and energies are computed in one go, to bound the memory."""


@dataclasses.dataclass(frozen=True)
class PoolEpoch:
    """The frames of one epoch, sorted by block.

    Attributes:
        coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)``.
        blocks: of each frame, ``shape=(n_frames,)`` int64, ascending.
        log_weights: ``shape=(n_frames,)`` float64.
        energies: [kcal/mol] of its molecules under the potential that made a frame, ``shape=(n_frames, n_parts)``
            float64; one part, the whole frame, where the estimator is global.
        values: of each observable, ``shape=(n_frames, n_parts, n_values)`` float64.
    """

    coords: torch.Tensor
    blocks: torch.Tensor
    log_weights: torch.Tensor
    energies: torch.Tensor
    values: dict[str, torch.Tensor]


def thin(frames: Frames, n_frames: int, generator: torch.Generator) -> Frames:
    """At most so many frames: those that stand for the longest stay, with probability proportional to their time.

    Systematic sampling: a frame that stands for more than the spacing stays once and keeps its time; each of the others
    stays with a probability and then stands for the spacing, so that sums over time are kept on average.
    """
    if len(frames.weights) <= n_frames:
        return frames
    spacing, is_large = float(frames.weights.sum()) / n_frames, torch.zeros(len(frames.weights), dtype=torch.bool)
    while (is_larger := frames.weights >= spacing).sum() > is_large.sum():  # what is kept for sure shares no more
        is_large = is_larger
        n_left, rest = n_frames - int(is_large.sum()), float(frames.weights[~is_large].sum())
        if n_left <= 0 or rest == 0.0:
            break
        spacing = rest / n_left
    small = torch.where(is_large, 0.0, frames.weights)
    marks = torch.floor((torch.cumsum(small, 0) + spacing * torch.rand((), generator=generator)) / spacing)
    is_hit = torch.diff(marks, prepend=marks.new_zeros(1)) > 0
    is_kept = is_large | is_hit
    weights = torch.where(is_large, frames.weights, torch.full_like(frames.weights, spacing))
    return Frames(
        frames.coords[is_kept],
        frames.velocities[is_kept],
        frames.replicas[is_kept],
        frames.steps[is_kept],
        weights[is_kept],
    )


def score(
    frames: Frames,
    blocks: torch.Tensor,
    compute_energies: collections.abc.Callable[[torch.Tensor], torch.Tensor],
    observables: dict[str, Observable],
    is_localized: bool,
) -> PoolEpoch:
    """Energies and observables of the frames of an epoch, under the potential that made them.

    Args:
        frames: of an epoch.
        blocks: of each of its frames.
        compute_energies: of frames or their molecules, ``(n_frames, n_atoms, 3) -> (n_frames, n_parts)``, with the
            parameters as they were.
        observables: by name.
        is_localized: whether molecules are measured for themselves.
    """
    order = torch.argsort(blocks, stable=True)
    coords, blocks = frames.coords[order], blocks[order]
    energies: list[torch.Tensor] = []
    values: dict[str, list[torch.Tensor]] = {name: [] for name in observables}
    with torch.no_grad():
        for part in coords.split(SCORED_AT_ONCE):
            energies.append(compute_energies(part).to(torch.float64))
            for name, observable in observables.items():
                own = observable.compute_by_molecule(part) if is_localized else observable.compute(part)[:, None]
                values[name].append(own.to(torch.float64))
    return PoolEpoch(
        coords,
        blocks,
        torch.log(frames.weights[order]),
        torch.cat(energies),
        {name: torch.cat(parts) for name, parts in values.items()},
    )


def compute_parts(potential: Potential, coords: torch.Tensor, molecule_idxs: torch.Tensor | None) -> torch.Tensor:
    """Energies [kcal/mol] of whole frames, ``shape=(n_frames, 1)``, or of their molecules; differentiable."""
    if molecule_idxs is None:
        return potential.compute_energies(coords)[:, None]
    atoms = potential.compute_atom_energies(coords)
    n_molecules = int(molecule_idxs.max()) + 1
    return atoms.new_zeros((len(coords), n_molecules)).index_add(1, molecule_idxs.to(atoms.device), atoms)


def collect_samples(pool: list[PoolEpoch]) -> Samples:
    """All samples of a pool: frames in the order of the epochs, molecule by molecule where there are several."""
    n_parts = pool[0].energies.shape[1]

    def repeat(values: torch.Tensor) -> torch.Tensor:
        return values.repeat_interleave(n_parts)

    return Samples(
        log_weights=torch.cat([repeat(epoch.log_weights) for epoch in pool]),
        energies=torch.cat([epoch.energies.reshape(-1) for epoch in pool]),
        epochs=torch.cat([torch.full((epoch.energies.numel(),), k) for k, epoch in enumerate(pool)]),
        values={name: torch.cat([epoch.values[name].flatten(0, 1) for epoch in pool]) for name in pool[0].values},
    )
