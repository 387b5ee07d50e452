"""What the statistics depend on besides data and parameters, and with what they are computed."""

import collections.abc
import dataclasses

from common.data.splits import SplitSettings
from common.data.weighting import ConformerSelection


@dataclasses.dataclass(frozen=True)
class PassSettings:
    """What the statistics depend on, besides data and parameters: all of it is part of their fingerprint.

    Attributes:
        conformers: which count, and how much.
        split: how molecules are split.
        with_vdw: whether φ holds the Lennard-Jones pairs, so that vdW may be trained.
        assigned: the split of each mapped SMILES, where it is known and no molecule may change sides; None: as
            ``split`` says.
    """

    conformers: ConformerSelection = dataclasses.field(default_factory=ConformerSelection)
    split: SplitSettings = dataclasses.field(default_factory=SplitSettings)
    with_vdw: bool = False
    assigned: collections.abc.Mapping[str, str] | None = None


@dataclasses.dataclass(frozen=True)
class PassMachine:
    """With what the pass is made: none of it changes the statistics by more than rounding.

    Attributes:
        n_processes: ranks to spawn; None for one for each available processor, or a single one where there is little
            to do. Under torchrun its ranks are used instead.
        device: where the pass is computed, e.g. "cpu" or "cuda".
        chunk_bytes: size of the feature matrices handled at once; None for what suits the device.
    """

    n_processes: int | None = None
    device: str = "cpu"
    chunk_bytes: int | None = None
