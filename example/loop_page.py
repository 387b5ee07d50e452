"""The page of the loop: what a few known molecules, a generator and the rest of the pipeline came to, in one story."""

import collections.abc
import json
import pathlib
import typing

from common.files.atomic import replace_atomically
from common.reporting.numbers import format_number, format_percentage
from common.reporting.pages import Picture, render_page
from common.reporting.structures import draw_grid

PAGE = pathlib.Path(__file__).parent / "templates" / "loop.html"
LEVEL = "GFN2-xTB"
N_DRAWN = 12
"""Molecules in the picture."""
N_COLUMNS = 4


class SimulatedTable(typing.NamedTuple):
    """What simulations came to: what is told, and the values of each force field."""

    columns: list[str]
    rows: list[tuple[str, list[float | None]]]


TOLD = {
    "Mean mean-angles MAE": "mean angles off by [degree]",
    "Mean mean-bonds MAE": "mean bonds off by [Å]",
    "Force MAE": "force MAE [kcal/mol/Å]",
    "Energy MAE": "energy MAE [kcal/mol]",
}
"""Of what 014 writes, and in which words."""


def read_json(path: pathlib.Path) -> dict[str, typing.Any]:
    return json.loads(path.read_text())


def tabulate_simulations(metrics: collections.abc.Mapping[str, typing.Any]) -> SimulatedTable:
    """The rows of 014, in the words of this page."""
    words = ("fitted to the known molecules", "fitted again", "fitted again, and refined")
    columns = [name for name in TOLD if all(name in own for own in metrics.values())]
    rows = [(said, [own[name] for name in columns]) for said, own in zip(words, metrics.values(), strict=True)]
    return SimulatedTable([TOLD[name] for name in columns], rows)


def describe_campaign(campaign: collections.abc.Mapping[str, typing.Any]) -> str:
    """What was paid for."""
    data = campaign["data"]
    return f"{campaign['rounds']} rounds of training, {data['kept']} structures for the force field"


def describe_rollout(metrics: collections.abc.Mapping[str, typing.Any]) -> str:
    """How good the learned potential is, and whether it pays."""
    parity = metrics["candidates"]["learned"]["parity"]
    words = (
        f"energies within {format_number(parity['energy_rmse_kt'])} kT, of a spread of "
        f"{format_number(parity['energy_spread_kt'])} kT"
    )
    crossover = metrics["costs"]["crossovers"].get("learned")
    if crossover is None:
        return words
    compared = "cheaper" if crossover < metrics["n_sites"] else "dearer"
    return f"{words}; it costs as much as {crossover:.0f} sites a body, {compared} than the sum over its own"


def describe_change(change: collections.abc.Mapping[str, typing.Any], what: str) -> str:
    """A relative change with its interval."""
    if change["change"] is None:
        return f"{what}: nothing to compare with"
    interval = change["interval"]
    words = f"{what} {format_percentage(change['change'])}"
    return words if interval is None else f"{words} ({' to '.join(format_percentage(end) for end in interval)})"


def write_page(
    output: pathlib.Path,
    facts: collections.abc.Mapping[str, typing.Any],
    steps: collections.abc.Sequence[tuple[str, str]],
) -> str:
    """Writes report.html; returns the sentence that says what came out.

    Args:
        output: folder of the loop.
        facts: what its steps found out.
        steps: the name of each, and what it does in words.
    """
    analysis, simulations, rollouts = (pathlib.Path(facts[name]) for name in ("analysis", "simulations", "rollouts"))
    metrics = read_json(analysis / "metrics.json")
    group = next(one for one in metrics["groups"] if (one["split"], one["source"]) == (metrics["focus"], "all"))
    before, after, starting = metrics["candidates"]
    comparison = next(one for one in metrics["comparisons"] if (one["before"], one["after"]) == (before, after))
    forces = [group["candidates"][name]["force_rmse"] for name in (before, after)]
    moves = "falls" if forces[1] < forces[0] else "rises"
    verdict = (
        f"On {group['n_molecules']} generated molecules that no fit has seen the force error {moves} from "
        f"{format_number(forces[0])} to {format_number(forces[1])} kcal/mol/Å once others like them are labelled: "
        f"{describe_change(comparison['forces'], 'forces')}."
    )
    cuts = rollouts / "figures" / "cuts.svg"
    rollout = read_json(rollouts / "metrics.json")
    seconds = facts["seconds"]
    text = render_page(
        PAGE,
        title="From a few known molecules to a coarse-grained new one",
        verdict=verdict,
        level=LEVEL,
        facts={**facts, "campaign_words": describe_campaign(facts["campaign"])},
        drawing=draw_grid([(smiles, "") for smiles in facts["new"][:N_DRAWN]], N_COLUMNS),
        group=group,
        candidates=[
            (words, group["candidates"][name])
            for words, name in (
                ("as it starts, example/starter.offxml", starting),
                ("fitted to the known molecules", before),
                ("fitted again, with the labels of generated ones", after),
            )
        ],
        change_words="; ".join(describe_change(comparison[what], what) for what in ("forces", "energy")),
        simulated=tabulate_simulations(read_json(simulations / "metrics.json")),
        rollout=rollout,
        rollout_words=describe_rollout(rollout),
        cuts=Picture(cuts.name, "Energies of pairs along cuts", cuts.read_bytes()) if cuts.is_file() else None,
        seconds=[(what, seconds[name]) for name, what in steps] + [("all", sum(seconds.values()))],
        links=[
            (words, (folder / "report.html").relative_to(output))
            for words, folder in (
                ("molecules", output / "filtered"),
                ("force fields", analysis),
                ("simulations", simulations),
                ("rigid bodies", rollouts),
            )
        ],
    )
    with replace_atomically(output / "report.html") as beside:
        beside.write_text(text)
    return verdict
