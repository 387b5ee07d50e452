"""Drop what has no parameters, and thin the near-identical conformers of optimisation trajectories.

Reads   outputs/data-raw/<source>/           what 001-convert-espaloma-data.py wrote
        outputs/openff-2.1.0.pt              what 002-parameterize.py wrote
Writes  outputs/data-clustered/<source>/     entries with parameters, those of cluster_sources thinned
        outputs/data-filtered/<source>/      instead, with all conformers, with --no-cluster

    python 003-cluster-and-filter.py
    python 003-cluster-and-filter.py --no-cluster

An optimisation trajectory visits the neighbourhood of its minimum many times over. Its conformers are clustered by the
RMSD of their heavy atoms (Butina's algorithm), and one of each cluster, the centre, is kept. Every entry keeps at
least one conformer; an entry with a single one says nothing about energies, but its forces still count.

Of each source 200 entries are looked at: where their forces do not look like forces beside those of the force field, or
bonds, energies and forces not like what they should be, the stage says so and writes nothing (--doubts).

About a minute for the 898,000 conformers of the four sources on two cores, most of it reading and writing. An
interrupted run goes on where it stopped.
"""

import dataclasses
import functools
import pathlib
import time

from common.data.dataset import list_sources, read_fingerprint, read_provenance
from common.data.shards import Shards, make_shards, publish_datasets, reserve_output, sum_counts
from common.plausibility.judgement import Policy, judge
from common.processes.memory import format_peak_memory
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import format_left_out, suggest_command
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, NonNegative, Positive, StageSettings
from common.selection.filtering import (
    VERSION,
    KnownMolecules,
    SourceContents,
    examine_source,
    read_known_molecules,
    write_filtered_shard,
)

OUTPUTS = pathlib.Path("outputs")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is thinned, and how."""

    cluster: bool = True  # False keeps every conformer and writes to outputs/data-filtered
    cluster_sources: tuple[str, ...] = ("gen2-opt",)  # whose conformers are thinned; the others pass through
    rmsd_threshold: Positive[float] = 0.25  # [Angstrom] conformers at this distance or nearer are neighbours
    doubts: Machine[Policy] = "refuse"  # "warn" goes on where much of a source looks like other units, signs, orders
    n_reasons_shown: Machine[NonNegative[int]] = 5  # reasons for leaving molecules out; provenance.json has all

    input: Contents[pathlib.Path] = OUTPUTS / "data-raw"  # folder of data sets
    parameters: Contents[pathlib.Path] = OUTPUTS / "openff-2.1.0.pt"  # what 002 wrote
    output: Machine[pathlib.Path | None] = None  # None: outputs/data-clustered, with --no-cluster data-filtered
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    @property
    def folder(self) -> pathlib.Path:
        """Where the data sets go."""
        return self.output or OUTPUTS / ("data-clustered" if self.cluster else "data-filtered")


def make_provenance(
    contents: SourceContents, shards: Shards, known: KnownMolecules, fingerprint: dict, before: dict, doubts: dict
) -> dict[str, object]:
    """What the data set's ``provenance.json`` says: the same whoever runs the stage, wherever.

    Args:
        contents, shards: of the source.
        known: what 002 knows.
        fingerprint: of the input, and settings.
        before: what the input's ``provenance.json`` says, of which the licence and doubts are handed on.
        doubts: by entry, found here.
    """
    counts = sum_counts(shards.results)
    return {
        "stage": "003-cluster-and-filter",
        **({"license": before["license"]} if "license" in before else {}),
        "doubts": {**before.get("doubts", {}), **doubts},
        "input": {
            "dataset_fingerprint": fingerprint["input"],
            "force_field": known.provenance.get("force_field"),
            "force_field_sha256": known.provenance.get("force_field_sha256"),
        },
        "settings": {"rmsd_threshold": fingerprint["rmsd_threshold"]},
        "counts": {
            "before": contents.before,
            "after": {
                "entries": len(contents.rows),
                "molecules": contents.n_molecules,
                "conformers": counts["conformers_kept"],
                "single_conformer_entries": counts["single_conformer_entries"],
            },
            "without_parameters": contents.left_out_counts,
        },
        "left_out": contents.left_out,
    }


def print_account(source: str, contents: SourceContents, shards: Shards, n_reasons_shown: int) -> None:
    before, counts = contents.before, sum_counts(shards.results)
    n_without = before["conformers"] - counts["conformers_read"]
    n_alike = counts["conformers_read"] - counts["conformers_kept"]
    print(
        f"{source}: {before['entries']} -> {len(contents.rows)} entries, {before['molecules']} -> "
        f"{contents.n_molecules} molecules, {before['conformers']} -> {counts['conformers_kept']} conformers"
        + format_left_out({"without parameters": n_without, "like another conformer": n_alike})
    )
    if counts["single_conformer_entries"]:
        print(f"  {counts['single_conformer_entries']} entries have a single conformer: only their forces count")
    reasons = sorted(contents.left_out, key=lambda reason: -len(contents.left_out[reason]))
    for reason in reasons[:n_reasons_shown]:
        names = contents.left_out[reason]
        print(f"  {len(names)} molecules without parameters, e.g. {names[0]}: {reason}")
    if len(reasons) > n_reasons_shown:
        print(f"  and {len(reasons) - n_reasons_shown} more reasons, all of them in {source}/provenance.json")


def main() -> None:
    settings = read_settings(Settings)
    output = settings.folder
    if output.resolve() == settings.input.resolve():
        raise ValueError(f"{output}: is the input, too; choose another --output")
    with reserve_output(output):
        filter_data(settings, output)
    options = {
        "--data": (output, OUTPUTS / "data-clustered"),
        "--parameters": (settings.parameters, Settings.parameters),
        "--output": (output.parent / "runs", OUTPUTS / "runs"),
    }
    print(suggest_command("004-train.py", options))


def examine_doubts(
    settings: Settings,
    sources: dict[str, pathlib.Path],
    contents: dict[str, SourceContents],
    known: KnownMolecules,
) -> dict[str, dict[str, dict[str, str]]]:
    """Doubts about some entries of each source, by name; says them, or ends the stage, as ``settings.doubts`` wants."""
    from common.selection.force_comparison import examine_entries  # torch, which the workers do without

    assert known.molecules is not None
    found = {
        source: examine_entries(folder, contents[source].rows, known.molecules) for source, folder in sources.items()
    }
    for line in judge(found, settings.doubts):
        print(line)
    return {source: doubts for source, (doubts, _) in found.items()}


def filter_data(settings: Settings, output: pathlib.Path) -> None:
    """Makes the data sets of what is kept."""
    start = time.perf_counter()
    known = read_known_molecules(settings.parameters)
    sources = {source: settings.input / source for source in list_sources(settings.input)}
    contents = {source: examine_source(folder, known) for source, folder in sources.items()}
    doubts = examine_doubts(settings, sources, contents, known)
    finished, n_confs = [], 0
    for source, folder in sources.items():
        threshold = settings.rmsd_threshold if settings.cluster and source in settings.cluster_sources else None
        fingerprint = {"version": VERSION, "input": read_fingerprint(folder), "rmsd_threshold": threshold}
        slices = contents[source].slices
        write_shard = functools.partial(write_filtered_shard, folder, threshold)
        shards = make_shards(output, source, slices, write_shard, fingerprint, settings.n_workers, description=source)
        finished.append(
            (
                shards,
                make_provenance(contents[source], shards, known, fingerprint, read_provenance(folder), doubts[source]),
            )
        )
        print_account(source, contents[source], shards, settings.n_reasons_shown)
        n_confs += sum(
            result["conformers_read"] for result, made in zip(shards.results, shards.made, strict=True) if made
        )
    publish_datasets(output, finished)
    seconds = time.perf_counter() - start
    print(f"{seconds:.0f} s, {n_confs / seconds:.0f} conformers per second, peak memory {format_peak_memory()}")
    print(f"wrote {output}")


if __name__ == "__main__":
    run_stage(main)
