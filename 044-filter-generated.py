"""Filter generated molecules, and say how good they are: every rate beside that of the training data.

Reads   a database of 043-generate.py, the run and the database that its generator was trained on
Writes  outputs/generated/<name>/       filtered.db, metrics.json, report.html, figures/, and data-raw/: a data set with
                                        its smiles.json, which 002-parameterize.py takes

    python 044-filter-generated.py
    python 044-filter-generated.py --input outputs/generators/<run>/generated/1.db --n-relaxed 500
    python 044-filter-generated.py --force-field openff-2.1.0.offxml --flags unique novel

Bonds are perceived by RDKit from coordinates alone, in processes that are ended where the search does not. A molecule
is valid if it is neutral, one piece and without radicals, unless the settings allow more. The same is done with the
training molecules: the check refuses some of any set of real molecules, and a rate means nothing without that of the
data beside it. Some molecules are relaxed by GFN2-xTB: how far they move, whether they stay what they are, what
properties they were aimed at before and after. The way downhill, with energies and forces, is a data set to fit to.
"""

import dataclasses
import json
import pathlib
import typing
from collections.abc import Iterable

import numpy

from common.data.molecule_database import Database, Molecule, read_database, write_database
from common.files.artifacts import MissingArtifactError
from common.files.plain import write_json
from common.generation.assessment import (
    Examined,
    assess,
    assess_reference,
    examine_all,
    make_namer,
)
from common.generation.comparison import describe
from common.generation.coverage import find_coverage
from common.generation.generated import BLOCKS, SETTINGS
from common.generation.refinement import refine_all, write_ways
from common.generation.report import Results, write_report
from common.generators.batches import Geometry
from common.molecules.mapped_smiles import perceive, to_mapped_smiles
from common.molecules.perception import PerceptionSettings
from common.processes.memory import format_peak_memory
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command
from common.runs.folder import read_config, resolve_run
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, NonNegative, Positive, StageSettings
from common.smirnoff.find import find_force_field
from common.smirnoff.offxml import read_force_field

OUTPUTS = pathlib.Path("outputs")
SPLITS = "splits.json"
STAGE = "044-filter-generated"


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What counts as a molecule, and what is done with those that do."""

    # --- what counts as a molecule -----------------------------------------------------------------------------------
    allowed_charges: tuple[int, ...] = (0,)  # [e] of the whole molecule, tried in this order
    allow_charged_fragments: bool = False  # formal charges on atoms, as in nitro groups
    allow_radical_electrons: bool = False
    max_iterations: AtLeastOne[int] = 10_000  # of the search for bond orders
    timeout: Positive[float] = 5.0  # [s] for one molecule

    # --- which are the same ------------------------------------------------------------------------------------------
    ignore_isomerism: bool = True  # stereochemistry does not tell molecules apart
    ignore_enantiomers: bool = False  # only mirror images do not

    # --- what is written ---------------------------------------------------------------------------------------------
    flags: tuple[typing.Literal["unique", "unseen", "novel"], ...] = ("unique",)  # filtered.db: valid, and all of these

    # --- relaxation, labels, coverage --------------------------------------------------------------------------------
    n_relaxed: NonNegative[int] = 200  # filtered molecules, at random, that are relaxed by GFN2-xTB
    max_force: Positive[float] = 1.0  # [kcal/mol/Angstrom] at the end of a relaxation
    force_field: str = "example/starter.offxml"  # whose coverage is reported; "": none
    seed: NonNegative[int] = 0  # of what is drawn at random

    # --- with what they are compared ---------------------------------------------------------------------------------
    input: Contents[pathlib.Path | None] = None  # of 043; None: the latest of any run
    run: Contents[pathlib.Path | None] = None  # whose generator made it, or a folder of runs; None: where it lies
    compare: Contents[pathlib.Path | None] = None  # database that was trained on; None: what the run names
    splits: Contents[pathlib.Path | None] = None  # splits.json of the run; None: beside the generator
    max_reference: AtLeastOne[int] = 20_000  # training molecules that are examined, at random where there are more

    output: Machine[pathlib.Path | None] = None  # folder; None: outputs/generated/<run>-<name of the input>
    n_drawn: Machine[NonNegative[int]] = 24  # molecules in the picture
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    @property
    def perception(self) -> PerceptionSettings:
        return PerceptionSettings(
            self.allowed_charges, self.allow_charged_fragments, self.allow_radical_electrons, self.max_iterations
        )

    def check(self) -> None:
        if not self.allowed_charges:
            raise ValueError("allowed_charges: one at least")


def find_input(settings: Settings) -> pathlib.Path:
    """The database to filter."""
    if settings.input is not None:
        return settings.input
    found = sorted((OUTPUTS / "generators").glob("*/generated/*.db"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise MissingArtifactError(f"{OUTPUTS / 'generators'}: no generated molecules here", "generated molecules")
    return found[-1]


def find_run(settings: Settings, path: pathlib.Path) -> pathlib.Path | None:
    """The run whose generator made a database: the one that is named, or in whose folder the database lies."""
    if settings.run is not None:
        return resolve_run(settings.run)
    run = path.parent.parent
    return run if (run / SPLITS).is_file() else None


class Reference(typing.NamedTuple):
    """The molecules that a generator was trained on, and those that were kept for testing."""

    database: Database
    train: list[int]
    validation: list[int]
    test: list[int]


def read_reference(settings: Settings, path: pathlib.Path, run: pathlib.Path | None) -> Reference:
    """The database and its splits, as named or as the run has them.

    Raises:
        FileNotFoundError, ValueError: one of them is missing or damaged.
    """
    compare = settings.compare or (pathlib.Path(read_config(run)["input"]) if run else None)
    splits = settings.splits or (run / SPLITS if run else None)
    if compare is None:
        raise ValueError(f"{path}: lies in no run; say with --run or --compare what its generator was trained on")
    database = read_database(compare)
    n_molecules = len(database.molecules)
    if splits is None:
        return Reference(database, list(range(n_molecules)), [], [])
    try:
        rows = {name: [row - 1 for row in own] for name, own in json.loads(splits.read_text()).items()}
        parts = rows["train"], rows["validation"], rows["test"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{splits}: missing or damaged ({error})") from error
    if max((row for part in parts for row in part), default=0) >= n_molecules:
        raise ValueError(f"{splits}: does not belong to {compare}")
    return Reference(database, *parts)


def take_geometries(molecules: Iterable[Molecule]) -> list[Geometry]:
    return [Geometry(one.numbers, one.coords) for one in molecules]


def list_mapped(examined: list[Examined]) -> list[str]:
    """Mapped SMILES of valid molecules; the few that MDL's aromaticity cannot do are left out."""
    mapped = []
    for one in examined:
        try:
            mapped.append(to_mapped_smiles(perceive(one.mol)))
        except ValueError:
            continue
    return list(dict.fromkeys(mapped))


def choose_drawn(
    settings: Settings, generated: Database, examined: list[Examined], kept: numpy.ndarray
) -> list[tuple[str, str]]:
    """Molecules for the picture, from all over the database, each with what it was aimed at."""
    n_drawn = min(settings.n_drawn, len(kept))
    chosen = kept[numpy.linspace(0, len(kept) - 1, n_drawn).round().astype(int)] if n_drawn else kept[:0]
    drawn = []
    for i in chosen:
        targets = generated.molecules[i].data.get("targets") or {}
        aim = ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else str(value) for name, value in targets.items()
        )
        drawn.append((list_mapped([examined[i]]), aim))
    return [(mapped[0], aim) for mapped, aim in drawn if mapped]


def main() -> None:
    settings = read_settings(Settings)
    path = find_input(settings)
    generated = read_database(path)
    run = find_run(settings, path)
    reference = read_reference(settings, path, run)
    output = settings.output or OUTPUTS / "generated" / f"{run.name + '-' if run else ''}{path.stem}"
    force_field = read_force_field(find_force_field(settings.force_field)) if settings.force_field else None
    random = numpy.random.default_rng(settings.seed)
    name = make_namer(settings.ignore_isomerism, settings.ignore_enantiomers)

    check = (settings.perception, settings.n_workers, settings.timeout)
    geometries = take_geometries(generated.molecules)
    examined = examine_all(geometries, *check, "generated")
    rows = [*reference.train, *reference.validation, *reference.test]
    if len(rows) > settings.max_reference:
        rows = sorted(random.choice(rows, settings.max_reference, replace=False).tolist())
    of_data = dict(
        zip(
            rows,
            examine_all(take_geometries(reference.database.molecules[r] for r in rows), *check, "data"),
            strict=True,
        )
    )
    groups = [[of_data[row] for row in part if row in of_data] for part in reference[1:]]
    seen = {name(one) for part in groups[:2] for one in part if one.is_valid}
    held_out = {name(one) for one in groups[2] if one.is_valid} - seen
    given_up = sum(generated.metadata.get(BLOCKS, {}).values())
    assessment = assess(examined, len(examined) + given_up, name, seen, held_out)

    flags = {"unique": assessment.is_unique, "unseen": assessment.is_unseen, "novel": assessment.is_novel}
    keep = numpy.array([one.is_valid for one in examined], dtype=bool)
    for flag in settings.flags:
        keep &= flags[flag]
    kept = numpy.flatnonzero(keep)
    chosen = numpy.sort(random.choice(kept, min(settings.n_relaxed, len(kept)), replace=False))
    refined = refine_all(
        [geometries[i] for i in chosen],
        [examined[i] for i in chosen],
        settings.max_force,
        settings.perception,
        settings.n_workers,
    )
    filtered = [
        dataclasses.replace(
            generated.molecules[i],
            smiles=examined[i].smiles,
            data={**generated.molecules[i].data, **{flag: bool(own[i]) for flag, own in flags.items()}},
        )
        for i in kept
    ]
    metadata = {key: value for key, value in generated.metadata.items() if key == SETTINGS}
    write_database(output / "filtered.db", filtered, {}, {"stage": STAGE, **metadata})
    names = [f"generated/{generated.molecules[i].data.get('number', i)}" for i in chosen]
    labelled = write_ways(
        output / "data-raw" / "generated", [examined[i] for i in chosen], refined, names, {"stage": STAGE}
    )
    write_json(output / "data-raw" / "smiles.json", list(dict.fromkeys(labelled)))
    mapped = list_mapped([examined[i] for i in kept])
    coverage = find_coverage(force_field, mapped, settings.n_workers) if force_field is not None and mapped else None
    results = Results(
        title=f"Molecules generated by {run.name if run else path}",
        assessment=assessment,
        reference=assess_reference(groups[0], name, len(examined), random),
        n_held_out=len(held_out),
        generated=describe(examined),
        data=describe(groups[0]),
        molecules=[generated.molecules[i] for i in range(len(examined))],
        examined=examined,
        refined=dict(zip(chosen.tolist(), refined, strict=True)),
        database=reference.database,
        train=reference.train,
        coverage=coverage,
        drawn=choose_drawn(settings, generated, examined, kept),
    )
    write_report(output, results)
    for line in results.summarise():
        print(line)
    print(f"{len(filtered)} molecules in {output / 'filtered.db'}")
    print(f"{len(labelled)} of them with energies and forces on the way to their minimum in {output / 'data-raw'}")
    print(f"wrote {output / 'report.html'}; peak memory {format_peak_memory()}")
    print(suggest_command("002-parameterize.py", {"--input": (output / "data-raw", OUTPUTS / "data-raw")}))


if __name__ == "__main__":
    run_stage(main)
