"""Which frames train, which validate, which test."""

import collections.abc

import numpy

from common.data.splits import SPLITS, SplitSettings, split_molecules

Split = dict[str, list[list[int]]]
"""By name of the split, row of the data set and number of each frame."""


def split_frames(
    n_frames: collections.abc.Sequence[int],
    n_train: int | None,
    n_validation: int,
    n_test: int,
    held_out_share: float,
    is_contiguous: bool,
    seed: int,
) -> Split:
    """Splits the frames of runs of one system: the end of each run is held out and tests, the rest is learnt from.

    Args:
        n_frames: of each run.
        n_train: frames; None for all that are left.
        n_validation: frames, at least 0.
        n_test: frames at most, spread evenly over what is held out.
        held_out_share: of each run, from its end.
        is_contiguous: whether training takes the first frames and validation the next, in the order of the runs; else
            both are drawn at random.
        seed: of the drawing.

    Raises:
        ValueError: there are fewer frames than are asked for.
    """
    cuts = [min(max(1, round((1.0 - held_out_share) * n)), max(1, n - 1)) for n in n_frames]
    known = [[row, frame] for row, cut in enumerate(cuts) for frame in range(cut)]
    held_out = [[row, frame] for row, cut in enumerate(cuts) for frame in range(cut, n_frames[row])]
    n_train = len(known) - n_validation if n_train is None else n_train
    if n_train < 1 or n_train + n_validation > len(known):
        raise ValueError(
            f"{len(known)} frames may be learnt from ({sum(n_frames)} less the held-out share {held_out_share:g} of "
            f"each run); {n_train} to train and {n_validation} to validate are asked for"
        )
    order = range(len(known)) if is_contiguous else numpy.random.default_rng(seed).permutation(len(known)).tolist()
    chosen = [known[place] for place in order[: n_train + n_validation]]
    places = numpy.linspace(0, len(held_out) - 1, min(n_test, len(held_out))).round().astype(int).tolist()
    return {
        "train": sorted(chosen[:n_train]),
        "validation": sorted(chosen[n_train:]),
        "test": [held_out[place] for place in places],
    }


def split_by_molecule(
    smiles: collections.abc.Sequence[str], n_frames: collections.abc.Sequence[int], settings: SplitSettings
) -> Split:
    """Splits the frames of many molecules: all of one molecule fall into one split.

    Args:
        smiles, n_frames: of each row.
        settings: see ``common.data.splits.split_molecules``.
    """
    names = split_molecules(smiles, settings)
    split: Split = {name: [] for name in SPLITS}
    for row, (own, n) in enumerate(zip(smiles, n_frames, strict=True)):
        split[names[own]] += [[row, frame] for frame in range(n)]
    return split
