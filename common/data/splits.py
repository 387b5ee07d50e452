"""Which molecules train, which validate, which test."""

import collections.abc
import dataclasses
import hashlib

from common.data.index import Row
from common.molecules.mapped_smiles import compute_connectivity_key

SPLITS = ("train", "validation", "test")


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """How molecules are split.

    Attributes:
        validation_fraction, test_fraction: of the molecules, each at least 0, together less than 1.
        split_seed: another seed gives another split.
        keep_exercised: whether everything that training needs a molecule for keeps one, see :func:`split_molecules`.
        n_folds: into which all molecules but the test's are dealt out for cross-validation; below 2: into none.
        stratify: whether each source, or set of sources that share molecules, gives its share to each split.
    """

    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    split_seed: int = 0
    keep_exercised: bool = True
    n_folds: int = 5
    stratify: bool = False


NO_FOLD = -1
"""Of what is not dealt out: test molecules, and all where nothing is cross-validated."""


@dataclasses.dataclass(frozen=True)
class SplitRow(Row):
    """A row of a data set with its split, and the fold of cross-validation that it is in."""

    split: str
    fold: int = NO_FOLD


def assign_rows(
    rows: collections.abc.Iterable[Row],
    choose_split: collections.abc.Callable[[str], str],
    choose_fold: collections.abc.Callable[[str], int] = lambda _: NO_FOLD,
) -> list[SplitRow]:
    """The rows with their splits and folds.

    Args:
        rows: of data sets.
        choose_split, choose_fold: give those of a mapped SMILES.
    """
    return [SplitRow(**vars(row), split=choose_split(row.smiles), fold=choose_fold(row.smiles)) for row in rows]


def split_molecules(
    smiles: collections.abc.Iterable[str],
    settings: SplitSettings,
    features: collections.abc.Mapping[str, collections.abc.Collection[collections.abc.Hashable]] | None = None,
    sources: collections.abc.Mapping[str, collections.abc.Collection[str]] | None = None,
) -> dict[str, str]:
    """Assigns every molecule to a split, reproducibly and whatever the order of the argument.

    All SMILES of one molecule fall into the same split: other atom orders, stereoisomers, other sources. The molecules
    are ranked by a hash of the seed and their connectivity, and the first ones taken, so that the fractions are kept
    to the nearest molecule and adding molecules to the data disturbs the others as little as possible.

    With ``features``, and ``settings.keep_exercised``, a molecule is passed over where taking it would leave one of its
    features without any training molecule: what nothing trains keeps its starting value, and a test of it would say
    nothing of the fit. If too few molecules can be spared, the validation and test sets stay smaller.

    Args:
        smiles: fully mapped SMILES; duplicates do no harm.
        settings: how.
        features: for each SMILES what training needs at least one molecule with, e.g. its parameters.
        sources: for each SMILES the data sets that have it; needed to stratify.

    Returns:
        "train", "validation" or "test" for each SMILES.

    Raises:
        ValueError: the fractions are impossible.
    """
    validation_fraction, test_fraction = settings.validation_fraction, settings.test_fraction
    check_fractions(validation_fraction, test_fraction)
    keys = {one: compute_connectivity_key(one) for one in smiles}
    features_of: dict[str, set[collections.abc.Hashable]] = {key: set() for key in keys.values()}
    for one, key in keys.items():
        features_of[key].update(features[one] if features is not None and settings.keep_exercised else ())
    ranked = sorted(features_of, key=lambda key: hashlib.sha256(f"{settings.split_seed}|{key}".encode()).digest())
    n_training = collections.Counter(feature for own in features_of.values() for feature in own)
    strata = _find_strata(keys, sources or {}) if settings.stratify else dict.fromkeys(ranked, "")
    places = {
        stratum: ["validation"] * round(validation_fraction * n) + ["test"] * round(test_fraction * n)
        for stratum, n in collections.Counter(strata.values()).items()
    }
    splits = dict.fromkeys(ranked, "train")
    for key in ranked:
        free = places[strata[key]]
        if free and all(n_training[feature] > 1 for feature in features_of[key]):
            n_training.subtract(features_of[key])
            splits[key] = free.pop()
    return {one: splits[key] for one, key in keys.items()}


def _find_strata(
    keys: collections.abc.Mapping[str, str], sources: collections.abc.Mapping[str, collections.abc.Collection[str]]
) -> dict[str, str]:
    """For each molecule the names of all sources that have it."""
    found: dict[str, set[str]] = {key: set() for key in keys.values()}
    for one, key in keys.items():
        found[key].update(sources.get(one, ()))
    return {key: " ".join(sorted(names)) for key, names in found.items()}


def check_fractions(validation_fraction: float, test_fraction: float) -> None:
    """Whether something is left to train with.

    Raises:
        ValueError: the fractions are impossible.
    """
    if min(validation_fraction, test_fraction) < 0.0 or validation_fraction + test_fraction >= 1.0:
        raise ValueError(
            f"split fractions validation {validation_fraction} and test {test_fraction}: each must be at least 0 and "
            "their sum less than 1"
        )


def assign_folds(smiles: collections.abc.Iterable[str], n_folds: int, seed: int) -> dict[str, int]:
    """Deals molecules out to folds of equal size, reproducibly; all SMILES of one molecule fall into one fold.

    Args:
        smiles: fully mapped SMILES.
        n_folds: at least 2.
        seed: another seed, other folds.

    Raises:
        ValueError: there are fewer molecules than folds.
    """
    keys = {one: compute_connectivity_key(one) for one in smiles}
    ranked = sorted(set(keys.values()), key=lambda key: hashlib.sha256(f"folds {seed}|{key}".encode()).digest())
    if len(ranked) < n_folds:
        raise ValueError(f"{len(ranked)} molecules cannot be dealt out to {n_folds} folds")
    places = {key: i % n_folds for i, key in enumerate(ranked)}
    return {one: places[key] for one, key in keys.items()}
