"""Convert the Espaloma 0.3.0 archive to data sets of conformers, energies and forces.

Reads   outputs/8150601/<source>/<entry>/{mol.json, heterograph.bin}     Zenodo record 8150601
Writes  outputs/data-raw/<source>/      coordinates [A], energies [kcal/mol], forces [kcal/mol/A], float64
        outputs/data-raw/smiles.json    the unique molecules as fully mapped SMILES, sorted

    python 001-convert-espaloma-data.py
    python 001-convert-espaloma-data.py --input example/8150601

The stored gradients become forces, energies relative to their mean. Entries that cannot be used, conformers that are
damaged and entries seen before are left out; provenance.json in each data set names them all, with the reason. Where
coordinates, energies and forces do not look like what they should be (sign, unit, order of the atoms), the stage says
so and writes nothing (--doubts).

About a minute for the four sources (16,400 molecules, 898,000 conformers) on two cores. An interrupted run goes on
where it stopped.
"""

import dataclasses
import functools
import json
import pathlib
import time
import typing

import rdkit

from common.data.accounts import Account, format_account, make_provenance, settle_account
from common.data.shards import make_shards, publish_datasets, reserve_output
from common.espaloma.archive import SOURCES, find_entries
from common.espaloma.conversion import ADVICE, convert_slice
from common.espaloma.entry import FORMAT
from common.plausibility.checks import VERSION
from common.plausibility.judgement import Policy, judge
from common.processes.memory import format_peak_memory
from common.processes.slices import cut_into_slices
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, NonNegative, Positive, Share, StageSettings
from common.smirnoff.find import find_force_field

OUTPUTS = pathlib.Path("outputs")

SAGE, STARTER = "openff-2.1.0.offxml", "example/starter.offxml"
"""The force field that 002 looks for where none is named, and the one that lies here."""


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is converted, and what is left out."""

    sources: tuple[typing.Literal[SOURCES], ...] = SOURCES  # which parts of the archive
    max_force: Positive[float] | None = None  # [kcal/mol/A] conformers with a larger force on any atom are dropped
    max_failed_fraction: Share[float] = 0.05  # of a source's entries; with more, something is wrong with the archive
    doubts: Machine[Policy] = "refuse"  # "warn" goes on where much of a source looks like other units, signs, orders
    slice_bytes: Machine[AtLeastOne[int]] = 8_000_000  # of the entries in one shard: about half a second of work
    n_named: Machine[NonNegative[int]] = 3  # entries named on the console for each reason; provenance.json has all

    input: Contents[pathlib.Path] = OUTPUTS / "8150601"  # the unpacked archive
    output: Machine[pathlib.Path] = OUTPUTS / "data-raw"  # folder of data sets
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    def check(self) -> None:
        if not self.sources:
            raise ValueError(f"sources: name at least one of {', '.join(SOURCES)}")


def check_failures(accounts: dict[str, Account], settings: Settings) -> None:
    """Ends the run, and leaves an earlier artifact as it is, if too little of a source can be used."""
    for source, account in accounts.items():
        if len(account.failed) > settings.max_failed_fraction * account.n_found:
            raise ValueError(
                f"{len(account.failed)} of {account.n_found} entries of {source} in {settings.input} cannot be used "
                f"(the reasons are given above), more than {settings.max_failed_fraction:.0%}: download and unpack "
                f"{source}.tar.gz again, or raise --max-failed-fraction; nothing was written"
            )


def main() -> None:
    settings = read_settings(Settings)
    with reserve_output(settings.output, ["smiles.json"]):
        convert(settings)
    print(suggest_next(settings.output))


def suggest_next(output: pathlib.Path) -> str:
    """The command that parameterises what was written, by the only force field at hand where Sage is not here."""
    force_field, remark = SAGE, ""
    try:
        find_force_field(force_field)
    except FileNotFoundError:
        force_field, remark = STARTER, f"{SAGE} is not here; {STARTER} is good for the example's molecules\n"
    options = {
        "--input": (output, Settings.output),
        "--force-field": (force_field, SAGE),
        "--output": (output.parent / f"{pathlib.PurePath(force_field).stem}.pt", OUTPUTS / "openff-2.1.0.pt"),
    }
    return remark + suggest_command("002-parameterize.py", options)


def convert(settings: Settings) -> None:
    """Makes the data sets, or ends with the reason why not."""
    sources = [source for source in SOURCES if source in settings.sources]  # of repeated entries the first stays
    start = time.perf_counter()
    locations = find_entries(settings.input, sources)
    conversion = {"max_force": settings.max_force, "rdkit": rdkit.__version__, "format": FORMAT, "checks": VERSION}
    convert = functools.partial(convert_slice, settings.max_force)
    finished, accounts, seen = [], {}, {}
    n_confs_made = 0
    for source, entries in locations.items():
        slices = cut_into_slices(entries, [sum(entry.n_bytes) for entry in entries], settings.slice_bytes)
        n_workers = min(settings.n_workers, len(slices))
        shards = make_shards(settings.output, source, slices, convert, conversion, n_workers, description=source)
        n_confs_made += sum(
            row["n_confs"]
            for result, made in zip(shards.results, shards.made, strict=True)
            for row in result["rows"]
            if made
        )
        shards, accounts[source], seen = settle_account(shards, seen)
        finished.append(
            (shards, {"stage": pathlib.Path(__file__).stem, **make_provenance(accounts[source], conversion)})
        )
        print(format_account(source, accounts[source], settings.input, settings.n_named, ADVICE))
    check_failures(accounts, settings)
    doubts = {source: (account.doubts, account.n_entries) for source, account in accounts.items()}
    for line in judge(doubts, settings.doubts):
        print(line)
    smiles = sorted({smiles for account in accounts.values() for smiles in account.smiles})
    publish_datasets(settings.output, finished, {"smiles.json": json.dumps(smiles, indent=0) + "\n"})
    seconds = time.perf_counter() - start
    print(
        f"{len(smiles)} molecules; {seconds:.1f} s, {n_confs_made / seconds:.0f} conformers per second, "
        f"peak memory {format_peak_memory()}"
    )
    print(f"wrote {settings.output}")


if __name__ == "__main__":
    run_stage(main)
