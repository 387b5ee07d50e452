"""The errors of one fit over several splits of the molecules: what a single split of few molecules cannot say."""

import collections.abc
import statistics
import typing

PARTS = ("rmse_energy", "rmse_forces")
"""Of ``common.fitting.outputs.compute_losses``."""

Losses = collections.abc.Mapping[str, collections.abc.Mapping[str, float]]
"""By split, what ``common.fitting.outputs.compute_losses`` gives."""


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
