"""Which atoms see each other: lists of pairs over the atoms of many frames laid end to end."""

import collections.abc

import torch

from common.geometry.periodic import find_nearest_images


def list_pairs(n_atoms: int, device: torch.device | str = "cpu") -> torch.Tensor:
    """All pairs of the atoms of one frame, each once, ``shape=(2, n_pairs)``."""
    return torch.triu_indices(n_atoms, n_atoms, 1, device=device)


def repeat_pairs(pairs: torch.Tensor, n_frames: int, n_atoms: int) -> torch.Tensor:
    """The pairs of ``n_frames`` frames of the same ``n_atoms`` atoms, ``shape=(2, n_frames * n_pairs)``."""
    starts = torch.arange(n_frames, device=pairs.device) * n_atoms
    return (pairs[:, None, :] + starts[:, None]).reshape(2, -1)


def join_pairs(n_atoms: collections.abc.Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """The pairs of frames of any molecules, ``shape=(2, n_pairs)``; ``n_atoms`` of each frame."""
    parts, start = [], 0
    for n in n_atoms:
        parts.append(list_pairs(n, device) + start)
        start += n
    return torch.cat(parts, dim=1) if parts else torch.zeros((2, 0), dtype=torch.int64, device=device)


def compute_pair_vectors(coords: torch.Tensor, pairs: torch.Tensor, cell: torch.Tensor | None = None) -> torch.Tensor:
    """From the second atom of each pair to the nearest image of the first, ``(n_atoms, 3) -> (n_pairs, 3)``."""
    first, second = pairs
    return find_nearest_images(coords.index_select(0, first) - coords.index_select(0, second), cell)


def drop_far_pairs(
    coords: torch.Tensor, pairs: torch.Tensor, cutoff: float, cell: torch.Tensor | None = None
) -> torch.Tensor:
    """The pairs nearer than ``cutoff`` [Angstrom]."""
    with torch.no_grad():
        vectors = compute_pair_vectors(coords, pairs, cell)
        return pairs[:, (vectors * vectors).sum(-1) < cutoff * cutoff]
