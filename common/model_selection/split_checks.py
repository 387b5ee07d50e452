"""Whether the test molecules stand for the data: said before anybody believes a test error."""

import collections.abc

from common.fitting.objective import Objective
from common.fitting.outputs import compute_losses
from common.forcefields.tensors import TensorForceField
from common.sufficient_statistics.statistics import Statistics

FEW = 10
"""Fewer test molecules than this say little."""

EASIER = 0.75
"""The starting force field's error on test molecules, over that on training molecules: below, the test is easier."""


def check_splits(
    statistics: Statistics, objectives: collections.abc.Mapping[str, Objective], initial: TensorForceField
) -> list[str]:
    """What a reader of the test errors must know; nothing where all is well.

    Args:
        statistics: for the counts.
        objectives: the loss on each split that has entries.
        initial: the force field that the fit starts from: it has been fitted to neither split, so that its errors tell
            how hard each is.
    """
    if "test" not in objectives:
        return ["there are no test molecules: nothing says how the fit does on molecules that it has not seen"]
    lines = []
    sources = sorted({source for source, split in statistics.groups if split == "train"})
    missing = [source for source in sources if (source, "test") not in statistics.groups]
    if missing:
        lines.append(
            f"no test molecule is of {', '.join(missing)}: the test errors say nothing of "
            f"{'this source' if len(missing) == 1 else 'these sources'}"
        )
    n_test = statistics.n_molecules["test"]
    if n_test < FEW:
        lines.append(f"there are {n_test} test molecules only: their errors are those of a few molecules")
    losses = compute_losses(objectives, initial)
    for part, what in (("rmse_energy", "energy"), ("rmse_forces", "force")):
        test, train = losses["test"][part], losses["train"][part]
        if test < EASIER * train:
            lines.append(
                f"the test molecules are easier than those that train: the starting force field's {what} error is "
                f"{test:.3g} on them and {train:.3g} in training"
            )
    return lines
