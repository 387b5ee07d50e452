"""Which molecules train, which validate, which test."""

import hashlib
import typing

from common.molecule import compute_connectivity_key

SPLITS = ("train", "validation", "test")


def split_molecules(
    smiles: typing.Iterable[str], validation_fraction: float, test_fraction: float, seed: int
) -> dict[str, str]:
    """Assigns every molecule to a split, reproducibly and whatever the order of the argument.

    All SMILES of one molecule fall into the same split: other atom orders, stereoisomers, other sources. The molecules
    are ranked by a hash of the seed and their connectivity, and the first ones taken, so that the fractions are kept
    to the nearest molecule and adding molecules to the data disturbs the others as little as possible.

    Args:
        smiles: fully mapped SMILES; duplicates do no harm.
        validation_fraction, test_fraction: of the molecules, each at least 0, together less than 1.
        seed: another seed gives another split.

    Returns:
        "train", "validation" or "test" for each SMILES.

    Raises:
        ValueError: the fractions are impossible.
    """
    if min(validation_fraction, test_fraction) < 0.0 or validation_fraction + test_fraction >= 1.0:
        raise ValueError(
            f"split fractions validation {validation_fraction} and test {test_fraction}: each must be at least 0 and "
            "their sum less than 1"
        )
    keys = {one: compute_connectivity_key(one) for one in smiles}
    ranked = sorted(set(keys.values()), key=lambda key: hashlib.sha256(f"{seed}|{key}".encode()).digest())
    n_test = round(test_fraction * len(ranked))
    n_validation = round(validation_fraction * len(ranked))
    splits = dict.fromkeys(ranked, "train")
    splits.update(dict.fromkeys(ranked[:n_test], "test"))
    splits.update(dict.fromkeys(ranked[n_test : n_test + n_validation], "validation"))
    return {one: splits[key] for one, key in keys.items()}
