"""The errors of one fit over several splits of the molecules: what a single split of few molecules cannot say."""

import collections.abc
import statistics
import typing

from common.fitting.outputs import compute_losses
from common.forcefields.tensors import ParameterizedMolecules, TensorForceField
from common.model_selection.setup import Plan, SetUp, set_up
from common.sufficient_statistics.statistics import Statistics

PARTS = ("rmse_energy", "rmse_forces")
"""Of ``common.fitting.outputs.compute_losses``."""

Losses = collections.abc.Mapping[str, collections.abc.Mapping[str, float]]
"""By split, what ``common.fitting.outputs.compute_losses`` gives."""


def repeat_splits(
    plan: Plan,
    molecules: ParameterizedMolecules,
    seeds: collections.abc.Iterable[int],
    make_pass: collections.abc.Callable[[int], Statistics],
    fit: collections.abc.Callable[[SetUp], TensorForceField],
) -> dict[str, typing.Any]:
    """The same fit on other splits, with the types as they are: what :func:`summarise_repeats` gives.

    Args:
        plan: what the fit is asked to be.
        molecules: what it starts from.
        seeds: of the splits.
        make_pass: gives the statistics of a seed.
        fit: gives the fitted force field.

    Raises:
        ValueError: a split has no test molecules.
    """
    before, after = {}, {}
    for seed in seeds:
        setup = set_up(plan, molecules, make_pass(seed))
        before[seed], after[seed] = (compute_losses(setup.objectives, one) for one in (setup.start, fit(setup)))
    return summarise_repeats(before, after)


def summarise_repeats(
    before: collections.abc.Mapping[int, Losses], after: collections.abc.Mapping[int, Losses]
) -> dict[str, typing.Any]:
    """Mean and standard deviation over the seeds of the test errors, before and after the fit, and all of them.

    Args:
        before, after: by seed, the losses of the starting and of the fitted force field.

    Raises:
        ValueError: a split has no test molecules.
    """
    summary: dict[str, typing.Any] = {"seeds": list(after)}
    for part in PARTS:
        summary[part] = {}
        for name, losses in (("initial", before), ("final", after)):
            if any("test" not in of for of in losses.values()):
                raise ValueError("split_seeds compares errors of test molecules, of which there are none")
            values = [of["test"][part] for of in losses.values()]
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            summary[part][name] = {"mean": statistics.fmean(values), "standard_deviation": spread, "values": values}
    return summary


def describe_repeats(summary: collections.abc.Mapping[str, typing.Any]) -> str:
    """One line for the console."""
    parts = []
    for part, what in (("rmse_forces", "force"), ("rmse_energy", "energy")):
        before, after = (summary[part][name] for name in ("initial", "final"))
        parts.append(
            f"{what} {before['mean']:.3g} ± {before['standard_deviation']:.2g} -> {after['mean']:.3g} ± "
            f"{after['standard_deviation']:.2g}"
        )
    seeds = " ".join(map(str, summary["seeds"]))
    return f"test errors over split seeds {seeds}, mean and standard deviation: {'; '.join(parts)}"
