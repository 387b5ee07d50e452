"""The report on generated molecules: a table of rates beside the data's own, figures, drawings; metrics.json."""

import collections
import dataclasses
import pathlib
import typing
from collections.abc import Callable, Mapping, Sequence

import numpy
import scipy.stats
from matplotlib.figure import Figure

from common.data.molecule_database import Database, Molecule
from common.files.atomic import replace_atomically
from common.files.plain import write_json
from common.generation.assessment import Assessment, Examined, Rate
from common.generation.comparison import RING_SIZES, Description, compare_values, estimate_mean
from common.generation.coverage import Coverage
from common.generation.figures import NAMES, plot_counts, plot_groups, plot_targets
from common.generation.refinement import Refined
from common.generation.samples import compute_quantity
from common.generation.sampling import Generated
from common.molecules.formulas import format_formula
from common.reporting.numbers import format_number
from common.reporting.pages import Picture, render_page
from common.reporting.plots import render_svg
from common.reporting.structures import draw_grid, draw_molecule

TEMPLATE = pathlib.Path(__file__).parent / "templates" / "generated.html"

N_COLUMNS = 6
"""Of the grid of molecules."""

N_BONDS, N_ANGLES = 12, 12
"""Kinds that are compared, the most frequent in the data."""

ORBITALS = ("gap", "homo", "lumo")
"""Targets whose value is computed by GFN2-xTB [eV]."""


@dataclasses.dataclass(frozen=True)
class Results:
    """All that the report is made of.

    Attributes:
        title: of the page.
        assessment: rates of the generated molecules.
        reference: the rates of the training data by the same check.
        n_held_out: how many different molecules were kept for testing.
        generated: what the valid molecules are made of.
        data: what the training molecules are made of.
        molecules: generated, with targets under ``data``.
        examined: of each of them.
        refined: relaxations, by number of the molecule among ``molecules``.
        database: that was trained on.
        train: its rows that trained.
        coverage: of a force field; None where none was asked for.
        drawn: molecules to draw, mapped SMILES and the target that each was aimed at, as a text.
    """

    title: str
    assessment: Assessment
    reference: Mapping[str, Rate]
    n_held_out: int
    generated: Description
    data: Description
    molecules: Sequence[Molecule]
    examined: Sequence[Examined]
    refined: Mapping[int, Refined]
    database: Database
    train: Sequence[int]
    coverage: Coverage | None
    drawn: Sequence[tuple[str, str]]

    def summarise(self) -> list[str]:
        """The table of rates, as lines to print."""
        lines = [f"{'':24}{'generated':>32}{'training data':>32}"]
        for name, rate in self.assessment.rates.items():
            lines.append(f"{name:24}{_format(rate):>32}{_format(self.reference.get(name)):>32}")
        lines.append(f"{'held out, found again':24}{self.assessment.found:>19} of {self.n_held_out}")
        texts = [_format_mean(one.sizes) for one in (self.generated, self.data)]
        lines.append(f"{'atoms in a molecule':24}" + "".join(f"{text:>32}" for text in texts))
        return lines


def _format(rate: Rate | None) -> str:
    if rate is None or rate.value is None or rate.interval is None:
        return "–"
    return f"{rate.value:.3f} ({rate.interval[0]:.3f} to {rate.interval[1]:.3f})"


def _format_mean(values: numpy.ndarray) -> str:
    if not len(values):
        return "–"
    mean, interval = estimate_mean(values)
    return f"{mean:.2f} ({interval[0]:.2f} to {interval[1]:.2f})" if interval else f"{mean:.2f}"


def write_report(folder: pathlib.Path, results: Results) -> None:
    """Writes report.html, metrics.json and the figures.

    Args:
        folder: where they go.
        results: what they show.
    """
    aims = [*_compare_scalars(results), *_compare_compositions(results)]
    summary = _summarise(results, aims)
    figures = _draw_figures(results, aims)
    pictures = []
    for name, (description, figure) in figures.items():
        picture = Picture(f"{name}.svg", description, render_svg(figure))
        with replace_atomically(folder / "figures" / picture.file_name) as beside:
            beside.write_bytes(picture.contents)
        pictures.append(picture)
    drawings = [Picture("molecule.svg", aim, draw_molecule(smiles).encode()) for smiles, aim in results.drawn]
    if results.drawn:
        with replace_atomically(folder / "figures" / "molecules.svg") as beside:
            beside.write_text(draw_grid(results.drawn, N_COLUMNS))
    write_json(folder / "metrics.json", summary)
    page = render_page(TEMPLATE, title=results.title, summary=summary, pictures=pictures, drawings=drawings)
    with replace_atomically(folder / "report.html") as beside:
        beside.write_text(page)


def _summarise(results: Results, aims: Sequence["Aim"]) -> dict[str, typing.Any]:
    """What metrics.json holds; no figure in the report comes from anywhere else."""
    relaxed = [one for one in results.refined.values() if not one.reason]
    coverage = results.coverage
    return {
        "rates": {
            name: {
                "generated": rate.to_plain(),
                "data": results.reference[name].to_plain() if name in results.reference else None,
            }
            for name, rate in results.assessment.rates.items()
        },
        "reasons": dict(sorted(results.assessment.reasons.items(), key=lambda item: -item[1])),
        "held_out": {"found": results.assessment.found, "total": results.n_held_out},
        "composition": {
            "generated": _describe(results.generated),
            "data": _describe(results.data),
        },
        "groups": {
            name: {"generated": results.generated.groups[name].to_plain(), "data": results.data.groups[name].to_plain()}
            for name in results.data.groups
        },
        "bonds": [one._asdict() for one in compare_values(results.generated.bonds, results.data.bonds, N_BONDS)],
        "angles": [one._asdict() for one in compare_values(results.generated.angles, results.data.angles, N_ANGLES)],
        "aims": [dataclasses.asdict(aim) | {"hit": aim.hit and aim.hit.to_plain()} for aim in aims],
        "rank_correlations": {
            name: compute_rank_correlation([aim for aim in aims if aim.name == name])
            for name in dict.fromkeys(aim.name for aim in aims if aim.value is not None)
        },
        "relaxation": _summarise_relaxations(relaxed, len(results.refined)),
        "coverage": None
        if coverage is None
        else {
            "force_field": coverage.force_field,
            "rate": coverage.rate.to_plain(),
            "missing": [dataclasses.asdict(one) for one in coverage.missing],
        },
    }


def _describe(one: Description) -> dict[str, typing.Any]:
    n_molecules, n_atoms = len(one.sizes), sum(one.elements.values())
    if not n_molecules:
        return {"n_molecules": 0}
    mean, interval = estimate_mean(one.sizes)
    return {
        "n_molecules": n_molecules,
        "atoms": mean,
        "atoms_interval": interval,
        "heavy_atoms": estimate_mean(one.heavy)[0],
        "elements": {symbol: count / n_atoms for symbol, count in sorted(one.elements.items())},
        "rings": {f"R{size}": one.rings.get(size, 0) / n_molecules for size in RING_SIZES},
    }


def _summarise_relaxations(relaxed: Sequence[Refined], n_tried: int) -> dict[str, typing.Any] | None:
    if not relaxed:
        return None
    columns = {
        name: [getattr(one, name) for one in relaxed] for name in ("rmsd", "drop", "max_force", "n_calculations")
    }
    quartiles = {name: numpy.quantile(column, [0.25, 0.5, 0.75]).tolist() for name, column in columns.items()}
    return {
        "converged": Rate(len(relaxed), n_tried).to_plain(),
        "same": Rate(sum(one.is_same for one in relaxed), len(relaxed)).to_plain(),
        **quartiles,
    }


@dataclasses.dataclass(frozen=True)
class Aim:
    """One target and what came of it.

    Attributes:
        name: of the condition.
        target: as a text.
        n_valid: molecules generated for it that are valid.
        quartiles: of the value at the geometry as generated; None for a composition.
        relaxed: likewise after relaxation, of those that were relaxed; None where there is none.
        hit: how many have the composition, of all generated for it; None for a number.
        in_data: the share of the training data that has the composition.
        value: the target as a number; None for a composition.
        values: at the geometry as generated, of each valid molecule.
    """

    name: str
    target: str
    n_valid: int
    quartiles: list[float] | None = None
    relaxed: list[float] | None = None
    hit: Rate | None = None
    in_data: float | None = None
    value: float | None = None
    values: tuple[float, ...] = ()


def _collect(results: Results, is_wanted: Callable[[str, typing.Any], bool]) -> dict[tuple, list[int]]:
    """Numbers of the molecules that aim at each (name, target)."""
    aimed: dict[tuple, list[int]] = collections.defaultdict(list)
    for i, molecule in enumerate(results.molecules):
        for name, target in (molecule.data.get("targets") or {}).items():
            if is_wanted(name, target):
                aimed[name, target].append(i)
    return aimed


def _compare_scalars(results: Results) -> list[Aim]:
    aims = []
    aimed = _collect(results, lambda name, target: name in ORBITALS and isinstance(target, float))
    for (name, target), numbers in sorted(aimed.items()):
        valid = [i for i in numbers if results.examined[i].is_valid]
        computed = (compute_quantity(_to_generated(results.molecules[i]), name) for i in valid)
        values = [value for value in computed if value is not None]
        after = [
            results.refined[i].after[name] for i in valid if i in results.refined and not results.refined[i].reason
        ]
        aims.append(
            Aim(
                name,
                f"{target:g}",
                len(valid),
                quartiles=numpy.quantile(values, [0.25, 0.5, 0.75]).tolist() if values else None,
                relaxed=numpy.quantile(after, [0.25, 0.5, 0.75]).tolist() if after else None,
                value=target,
                values=tuple(values),
            )
        )
    return aims


def _to_generated(molecule: Molecule) -> Generated:
    return Generated(0, molecule.numbers, molecule.coords, True)


def _compare_compositions(results: Results) -> list[Aim]:
    data = collections.Counter(_get_formula(results.database.molecules[row]) for row in results.train)
    aims = []
    aimed = _collect(results, lambda name, target: isinstance(target, str))
    for (name, target), numbers in sorted(aimed.items()):
        hits = sum(_get_formula(results.molecules[i]) == target for i in numbers)
        n_valid = sum(results.examined[i].is_valid for i in numbers)
        in_data = data[target] / max(1, len(results.train))
        aims.append(Aim(name, target, n_valid, hit=Rate(hits, len(numbers)), in_data=in_data))
    return aims


def _get_formula(molecule: Molecule) -> str:
    numbers, counts = numpy.unique(molecule.numbers, return_counts=True)
    return format_formula(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))


def compute_rank_correlation(aims: Sequence[Aim]) -> float | None:
    """Spearman's, of targets and values of all molecules; None where all targets, or all values, are the same."""
    targets = numpy.repeat([aim.value for aim in aims], [len(aim.values) for aim in aims])
    values = numpy.concatenate([aim.values for aim in aims]) if aims else numpy.zeros(0)
    if min(len(set(targets.tolist())), len(set(values.tolist()))) < 2:
        return None
    return float(scipy.stats.spearmanr(targets, values).statistic)


def _draw_figures(results: Results, aims: Sequence[Aim]) -> dict[str, tuple[str, Figure]]:
    """Figures by name, each with what it shows in words."""
    figures: dict[str, tuple[str, Figure]] = {}
    sets = dict(zip(NAMES, (results.data, results.generated), strict=True))
    if all(len(one.sizes) for one in sets.values()):
        sizes = {name: one.sizes for name, one in sets.items()}
        figures["sizes"] = "sizes of molecules", plot_counts(sizes, "atoms", "Size")
        groups = {name: one.groups for name, one in sets.items()}
        figures["groups"] = "functional groups", plot_groups(groups, "Functional groups")
    for name in dict.fromkeys(aim.name for aim in aims if aim.value is not None):
        own = [aim for aim in aims if aim.name == name]
        data = None
        if name in results.database.properties and results.database.units.get(name) == "eV":
            data = results.database.get_values(name)[list(results.train)]
        rank = compute_rank_correlation(own)
        title = f"Aimed at, rank correlation {format_number(rank, 2)}" if rank is not None else "Aimed at"
        values = [numpy.array(aim.values) for aim in own]
        targets = [aim.value for aim in own if aim.value is not None]
        description = f"{name} of generated molecules against the target"
        figures[f"target-{name}"] = description, plot_targets(targets, values, data, name, "eV", title)
    return figures
