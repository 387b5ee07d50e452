"""The one pass over the data: Gram matrices of the features and the residual of every entry.

For one entry, let Φ be the matrix of derivatives of its predictions by φ
(common/sufficient_statistics/linearization.py) and r what the reference data differ from the predictions at the
reference parameters. Then the entry's loss at φ = φ̄ + δ is |Φδ - r|² = (δ, -1) [Φ r]ᵀ[Φ r] (δ, -1)ᵀ, so that the Gram
matrix of [Φ r] says everything about it. It is accumulated once for relative energies and once for forces, weighted as
in the loss:

    energies: Σ_c w_c (ΔE - ΔE_ref)²,  Δ against the weighted mean of the entry;  Σ_c w_c = 1
    forces:   Σ_c w_c |F - F_ref|² / (3 n_atoms)

What an entry lacks, energies or forces, is 0 throughout.

On a processor they are computed in compiled loops (:mod:`common.sufficient_statistics.loop_gram`), elsewhere by tensor
operations (:mod:`common.sufficient_statistics.tensor_gram`).
"""

import collections.abc

import torch

from common.sufficient_statistics import loop_gram, tensor_gram
from common.sufficient_statistics.entry_grams import EntryGrams, WeightedEntry
from common.sufficient_statistics.interactions import Interactions


def compute_entry_grams(
    entries: collections.abc.Iterable[WeightedEntry],
    interactions: Interactions,
    phi: torch.Tensor,
    device: str | torch.device = "cpu",
    chunk_bytes: int | None = None,
) -> collections.abc.Iterator[EntryGrams]:
    """Yields the Gram matrices of entries, in their order. Memory is bounded by ``chunk_bytes``.

    Args:
        entries: what to accumulate; taken as they are needed.
        interactions: of the molecules the entries refer to.
        phi: φ of the reference force field, ``shape=(n_features,)``.
        device: where the tensors of ``interactions`` lie.
        chunk_bytes: size of the feature matrices handled at once; None for what suits the device.
    """
    if torch.device(device).type == "cpu":
        return loop_gram.compute_entry_grams(entries, interactions, phi, chunk_bytes or loop_gram.BLOCK_BYTES)
    return tensor_gram.compute_entry_grams(entries, interactions, phi, device, chunk_bytes or tensor_gram.CHUNK_BYTES)
