"""What of the data counts in a fit, and how much: all that the statistics depend on besides data and parameters."""

import dataclasses

from common.sufficient_statistics.gram import CHUNK_BYTES


@dataclasses.dataclass(frozen=True)
class PassSettings:
    """What the statistics depend on, besides data and parameters.

    Attributes:
        validation_fraction, test_fraction, split_seed: see ``common.data.splits.split_molecules``.
        keep_exercised: whether every valence parameter keeps at least one training molecule where it has any.
        with_vdw: whether φ holds the Lennard-Jones pairs, so that vdW may be trained.
        energy_ceiling: [kcal/mol] conformers so much above the lowest of their entry are left out; None for all.
        boltzmann_temperature: [K] weights conformers by exp(-ΔE/RT) within their entry; None for equal weights.
        chunk_bytes: size of the feature matrices handled at once.
        device: where the pass is computed, e.g. "cpu" or "cuda".
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0
    keep_exercised: bool = True
    with_vdw: bool = False
    energy_ceiling: float | None = None
    boltzmann_temperature: float | None = None
    chunk_bytes: int = CHUNK_BYTES
    device: str = "cpu"
