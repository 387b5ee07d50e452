"""Gram matrices of entries by tensor operations, which run on any device: what a GPU is given.

The work is done in chunks of conformers of many molecules. All geometry and features of a chunk are single tensor
operations; the products are one BLAS call an entry.
"""

import collections.abc
import dataclasses
import typing

import numpy
import torch

from common.geometry.internal_coordinates import (
    compute_angles_with_gradients,
    compute_dihedrals_with_gradients,
    compute_distances_with_gradients,
)
from common.sufficient_statistics.entry_grams import EntryGrams, WeightedEntry
from common.sufficient_statistics.interactions import Interactions, InteractionTable

CHUNK_BYTES = 8_000_000
"""Size of the feature matrices of one chunk: large enough to amortise the calls, small enough for the caches."""


@dataclasses.dataclass(frozen=True)
class _Part:
    """Conformers ``start`` to ``stop`` of an entry, handled in one chunk."""

    source: WeightedEntry
    start: int
    stop: int
    n_features: int

    @property
    def n_frames(self) -> int:
        return self.stop - self.start

    @property
    def n_components(self) -> int:
        return 3 * self.source.entry.n_atoms

    @property
    def is_last(self) -> bool:
        return self.stop == self.source.entry.n_confs


def compute_entry_grams(
    entries: collections.abc.Iterable[WeightedEntry],
    interactions: Interactions,
    phi: torch.Tensor,
    device: str | torch.device = "cpu",
    chunk_bytes: int = CHUNK_BYTES,
) -> collections.abc.Iterator[EntryGrams]:
    """Yields the Gram matrices of entries, in their order. Memory is bounded by ``chunk_bytes``.

    Args:
        entries: what to accumulate; taken as they are needed.
        interactions: of the molecules the entries refer to.
        phi: φ of the reference force field, ``shape=(n_features,)``.
        device: where the tensors of ``interactions`` lie.
        chunk_bytes: size of the feature matrices handled at once.
    """
    energy_rows: list[torch.Tensor] = []
    forces_gram: torch.Tensor | float = 0.0
    for parts in _make_chunks(entries, interactions, chunk_bytes):
        chunk = _Chunk(parts, interactions, device)
        chunk.add_features(interactions)
        for part, energy, gradient in chunk.iterate_matrices():
            features = interactions.features[part.source.molecule_idx]
            weights = torch.from_numpy(part.source.weights).to(device)
            own_phi = phi[features].to(device)
            energy[-1] -= own_phi @ energy[:-1]
            energy_rows.append(energy)
            if part.source.entry.has_forces:
                gradient[-1] -= own_phi @ gradient[:-1]
                forces_gram = forces_gram + _finish_forces(part, gradient, weights[part.start : part.stop])
            if part.is_last:
                nothing = torch.zeros((len(features) + 1,) * 2, dtype=torch.float64, device=device)
                has_energies = part.source.entry.has_energies
                energy_gram = _finish_energy(torch.cat(energy_rows, dim=1), weights) if has_energies else nothing
                yield EntryGrams(part.source, features, energy_gram, nothing + forces_gram)
                energy_rows, forces_gram = [], 0.0


def _make_chunks(
    entries: collections.abc.Iterable[WeightedEntry], interactions: Interactions, chunk_bytes: int
) -> collections.abc.Iterator[list[_Part]]:
    parts: list[_Part] = []
    room = chunk_bytes
    for source in entries:
        n_features = len(interactions.features[source.molecule_idx])
        frame_bytes = 8 * 3 * source.entry.n_atoms * (n_features + 1)
        start, n_confs = 0, source.entry.n_confs
        while start < n_confs:
            stop = min(n_confs, start + max(1, room // frame_bytes))
            parts.append(_Part(source, start, stop, n_features))
            room -= (stop - start) * frame_bytes
            start = stop
            if room < frame_bytes:
                yield parts
                parts, room = [], chunk_bytes
    if parts:
        yield parts


class _Chunk:
    """The feature matrices of some conformers, all molecules in one buffer.

    The energy matrix of a part is ``(n_features + 1, n_frames)`` and its gradient matrix
    ``(n_features + 1, n_frames * n_atoms * 3)``; the last row of each is the residual. A frame is one conformer.

    All matrices lie end to end in one flat buffer, each row after row. So the energy of feature k in frame f stands at
    ``energy_base[f] + k * energy_stride[f]``: the base is where the matrix of f's part begins plus the place of f in
    that part, the stride is the length of a row, the number of frames of the part. Likewise the gradient on atom i of
    the frame's molecule stands at ``gradient_base[f] + k * gradient_stride[f] + 3 i``, and the two numbers that follow.
    """

    def __init__(self, parts: list[_Part], interactions: Interactions, device: str | torch.device):
        self.parts = parts
        self.device = device
        n_frames = numpy.array([part.n_frames for part in parts])
        n_components = numpy.array([part.n_components for part in parts])
        n_rows = numpy.array([part.n_features + 1 for part in parts])

        self.energy_starts = _cumulate(n_rows * n_frames)
        self.gradient_starts = _cumulate(n_rows * n_frames * n_components)
        self.energy = torch.zeros(self.energy_starts[-1], dtype=torch.float64, device=device)
        self.gradient = torch.zeros(self.gradient_starts[-1], dtype=torch.float64, device=device)

        part_of_frame = numpy.repeat(numpy.arange(len(parts)), n_frames)
        frame_in_part = numpy.arange(len(part_of_frame)) - numpy.repeat(_cumulate(n_frames)[:-1], n_frames)
        components = n_components[part_of_frame]
        self.frame_molecules = self._to_device([part.source.molecule_idx for part in parts], part_of_frame)
        # the atoms of all frames lie end to end, too: where each frame's first one stands
        self.frame_atoms = torch.from_numpy(_cumulate(components // 3)[:-1]).to(device)
        self.energy_base = torch.from_numpy(self.energy_starts[part_of_frame] + frame_in_part).to(device)
        self.energy_stride = self._to_device(n_frames, part_of_frame)
        self.gradient_base = torch.from_numpy(self.gradient_starts[part_of_frame] + frame_in_part * components).to(
            device
        )
        self.gradient_stride = self._to_device(n_frames * n_components, part_of_frame)
        residual = numpy.array([part.n_features for part in parts])
        self.residual_feature = self._to_device(residual, part_of_frame)

        coords = numpy.concatenate([part.source.entry.coords[part.start : part.stop].reshape(-1, 3) for part in parts])
        self.x = torch.from_numpy(numpy.ascontiguousarray(coords.T)).to(device)
        self._set_reference()

    def _to_device(self, per_part: typing.Any, part_of_frame: numpy.ndarray) -> torch.Tensor:
        return torch.from_numpy(numpy.asarray(per_part, dtype=numpy.int64)[part_of_frame]).to(self.device)

    def _set_reference(self) -> None:
        """Puts the reference energies and gradients into the residual rows."""
        for part, energy, gradient in self.iterate_matrices():
            entry = part.source.entry
            if entry.has_energies:
                energy[-1] = torch.tensor(entry.energy[part.start : part.stop], device=self.device)
            if entry.has_forces:
                gradient[-1] = -torch.tensor(entry.forces[part.start : part.stop].reshape(-1), device=self.device)

    def iterate_matrices(self) -> collections.abc.Iterator[tuple[_Part, torch.Tensor, torch.Tensor]]:
        """Each part with its energy and gradient matrix, views of the buffers."""
        for i, part in enumerate(self.parts):
            energy = self.energy[self.energy_starts[i] : self.energy_starts[i + 1]]
            gradient = self.gradient[self.gradient_starts[i] : self.gradient_starts[i + 1]]
            yield part, energy.view(part.n_features + 1, -1), gradient.view(part.n_features + 1, -1)

    def add_features(self, interactions: Interactions) -> None:
        """Fills the feature rows, and subtracts what is not in φ from the residual rows."""
        self._add_harmonic(interactions.harmonic["Bonds"], compute_distances_with_gradients)
        self._add_harmonic(interactions.harmonic["Angles"], compute_angles_with_gradients)
        self._add_torsions(interactions.dihedrals, interactions.torsions)
        self._add_pairs(interactions.pairs)
        self._add_trained_pairs(interactions.trained_pairs)

    def _add(
        self,
        frames: torch.Tensor,
        feature: torch.Tensor,
        particle_idxs: torch.Tensor,
        energy: torch.Tensor,
        du_dq: torch.Tensor,
        dq_dx: tuple[torch.Tensor, ...],
    ) -> None:
        """Adds interactions to one feature each: energies ``(n,)``, gradients ``du_dq * dq_dx``, ``(3, n)`` each."""
        place = (feature * _select(self.energy_stride, frames)).add_(_select(self.energy_base, frames))
        self.energy.scatter_add_(0, place, energy)
        base = (feature * _select(self.gradient_stride, frames)).add_(_select(self.gradient_base, frames))
        for atoms, dq in zip(particle_idxs, dq_dx, strict=True):
            place = torch.add(base, atoms, alpha=3)
            for component in range(3):  # the buffer from its second, third number on: no indices need be shifted
                self.gradient[component:].scatter_add_(0, place, du_dq * dq[component])

    def _gather(self, table: InteractionTable) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, list[torch.Tensor]]:
        """The row, frame, atoms ``(n_particles, n)`` and points ``(3, n)`` of every interaction in the chunk."""
        rows, frames = table.expand(self.frame_molecules)
        particle_idxs = _select(table.values["particle_idxs"], rows)
        first_atoms = _select(self.frame_atoms, frames)
        return rows, frames, particle_idxs, [_select(self.x, atoms + first_atoms) for atoms in particle_idxs]

    def _add_harmonic(self, table: InteractionTable, compute_with_gradients: collections.abc.Callable) -> None:
        rows, frames, particle_idxs, points = self._gather(table)
        q, dq_dx = compute_with_gradients(*points)
        shift = q - _select(table.values["minimum"], rows)
        feature = _select(table.values["feature"], rows)
        self._add(frames, feature, particle_idxs, 0.5 * shift**2, shift, dq_dx)
        self._add(frames, feature + 1, particle_idxs, -shift, -torch.ones_like(shift), dq_dx)

    def _add_torsions(self, dihedrals: InteractionTable, torsions: InteractionTable) -> None:
        _, _, particle_idxs, points = self._gather(dihedrals)
        phi, dphi_dx = compute_dihedrals_with_gradients(*points)
        rows, frames = torsions.expand(self.frame_molecules)
        feature, dihedral, periodicity, phase, inverse_idivf = (
            _select(torsions.values[name], rows)
            for name in ("feature", "dihedral", "periodicity", "phase", "inverse_idivf")
        )
        # a term counts its dihedral within the molecule; in the chunk, the dihedrals of earlier frames come before
        counts = dihedrals.counts[self.frame_molecules]
        which = _select(torch.cumsum(counts, 0) - counts, frames) + dihedral
        argument = periodicity * _select(phi, which) - phase
        energy = inverse_idivf * (1.0 + torch.cos(argument))
        du_dq = -inverse_idivf * periodicity * torch.sin(argument)
        gradients = tuple(_select(dphi, which) for dphi in dphi_dx)
        self._add(frames, feature, _select(particle_idxs, which), energy, du_dq, gradients)

    def _add_pairs(self, table: InteractionTable) -> None:
        """Pairs that are not in φ: their energy is subtracted from the residual."""
        rows, frames, particle_idxs, points = self._gather(table)
        r, dr_dx = compute_distances_with_gradients(*points)
        coulomb = _select(table.values["coulomb"], rows) / r
        attraction = _raise_to_sixth(_select(table.values["lj_sigma"], rows) / r)
        strength = _select(table.values["lj_strength"], rows) * attraction
        energy = coulomb + strength * (attraction - 1.0)
        du_dr = -(coulomb + strength * (12.0 * attraction - 6.0)) / r
        self._add(frames, _select(self.residual_feature, frames), particle_idxs, -energy, -du_dr, dr_dx)

    def _add_trained_pairs(self, table: InteractionTable) -> None:
        if len(table.values["feature"]) == 0:
            return
        rows, frames, particle_idxs, points = self._gather(table)
        r, dr_dx = compute_distances_with_gradients(*points)
        feature, scale = _select(table.values["feature"], rows), 4.0 * _select(table.values["lj_scale"], rows)
        attraction = _raise_to_sixth(_select(table.values["lj_sigma"], rows) / r)
        for shift, power, energy in ((0, 12, scale * attraction**2), (1, 6, -scale * attraction)):
            self._add(frames, feature + shift, particle_idxs, energy, -power * energy / r, dr_dx)


def _select(values: torch.Tensor, idxs: torch.Tensor) -> torch.Tensor:
    """``values[..., idxs]`` of one or two axes; index_select along one axis is several times as fast as indexing."""
    if values.ndim == 1:
        return values.index_select(0, idxs)
    selected = values.new_empty((len(values), len(idxs)))
    for row, out in zip(values, selected, strict=True):
        torch.index_select(row, 0, idxs, out=out)
    return selected


def _raise_to_sixth(base: torch.Tensor) -> torch.Tensor:
    """base⁶, at a fifth of the time of ``base**6``."""
    square = base * base
    return square * square * square


def _cumulate(counts: numpy.ndarray) -> numpy.ndarray:
    return numpy.concatenate([[0], numpy.cumsum(counts)]).astype(numpy.int64)


def _finish_forces(part: _Part, gradient: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The Gram matrix of the forces of a part; ``gradient`` has ``shape=(n + 1, n_confs * n_atoms * 3)``."""
    scale = torch.sqrt(weights / part.n_components)
    gradient.view(len(gradient), part.n_frames, -1).mul_(scale[:, None])
    return _multiply_by_transpose(gradient)


def _finish_energy(rows: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """The Gram matrix of energies relative to their weighted mean; ``rows`` has ``shape=(n + 1, n_confs)``."""
    relative = rows - (rows @ weights)[:, None]
    return _multiply_by_transpose(relative * torch.sqrt(weights))


def _multiply_by_transpose(matrix: torch.Tensor) -> torch.Tensor:
    """A Aᵀ. NumPy recognises the product and calls BLAS's syrk, which does half the work of a general one."""
    if matrix.device.type == "cpu":
        values = matrix.numpy()
        return torch.from_numpy(values @ values.T)
    return matrix @ matrix.T
