"""Convert the Espaloma 0.3.0 archive to data sets of conformers, energies and forces.

Reads   outputs/8150601/<source>/<entry>/{mol.json, heterograph.bin}     Zenodo record 8150601
Writes  outputs/data-raw/<source>/      coordinates [A], energies [kcal/mol], forces [kcal/mol/A], float64
        outputs/data-raw/smiles.json    the unique molecules as fully mapped SMILES, sorted

    python 001-convert-espaloma-data.py
    python 001-convert-espaloma-data.py --input example/8150601

The stored gradients become forces, energies relative to their mean. Entries that cannot be used, conformers that are
damaged and entries seen before are left out; provenance.json in each data set names them all, with the reason.

About a minute for the four sources (16,400 molecules, 898,000 conformers) on two cores. An interrupted run goes on
where it stopped.
"""

import argparse
import functools
import json
import pathlib
import time

import rdkit

from common.data.shards import make_shards, publish_datasets, reserve_output
from common.espaloma.archive import SOURCES, find_entries
from common.espaloma.conversion import Account, convert_slice, format_account, make_provenance, settle_account
from common.espaloma.entry import FORMAT
from common.processes.memory import format_peak_memory
from common.processes.slices import cut_into_slices
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command

MAX_FORCE = None  # [kcal/mol/A] conformers with a larger force on any atom are dropped; None keeps them all
MAX_FAILED_FRACTION = 0.05  # of a source's entries; with more of them something is wrong with the archive
SLICE_BYTES = 8_000_000  # of the files of the entries in one shard: about half a second of work
N_NAMED = 3  # entries named on the console for each reason; provenance.json names them all

OUTPUTS = pathlib.Path("outputs")
OUTPUT = OUTPUTS / "data-raw"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=pathlib.Path, default=OUTPUTS / "8150601", help="default: %(default)s")
    parser.add_argument("--output", type=pathlib.Path, default=OUTPUT, help="default: %(default)s")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=SOURCES, help="default: all of them")
    parser.add_argument(
        "--max-force",
        type=float,
        default=MAX_FORCE,
        help="drop conformers with larger forces [kcal/mol/A]; default: none",
    )
    parser.add_argument(
        "--n-workers", type=int, default=count_available_cpus(), help="number of processes; default: %(default)s"
    )
    arguments = parser.parse_args()
    if arguments.n_workers < 1:
        parser.error("--n-workers must be 1 or more")
    arguments.sources = [
        source for source in SOURCES if source in arguments.sources
    ]  # of repeated entries the first stays
    return arguments


def check_failures(accounts: dict[str, Account], archive: pathlib.Path) -> None:
    """Ends the run, and leaves an earlier artifact as it is, if too little of a source can be used."""
    for source, account in accounts.items():
        if len(account.failed) > MAX_FAILED_FRACTION * account.n_found:
            raise ValueError(
                f"{len(account.failed)} of {account.n_found} entries of {source} in {archive} cannot be used (the "
                f"reasons are given above), more than {MAX_FAILED_FRACTION:.0%}: download and unpack {source}.tar.gz "
                "again, or raise MAX_FAILED_FRACTION in this script; nothing was written"
            )


def main() -> None:
    arguments = parse_arguments()
    with reserve_output(arguments.output, ["smiles.json"]):
        convert(arguments)
    print(suggest_command("002-parameterize.py", {"--input": (arguments.output, OUTPUT)}))


def convert(arguments: argparse.Namespace) -> None:
    """Makes the data sets, or ends with the reason why not."""
    start = time.perf_counter()
    locations = find_entries(arguments.input, arguments.sources)
    settings = {"max_force": arguments.max_force, "rdkit": rdkit.__version__, "format": FORMAT}
    convert = functools.partial(convert_slice, arguments.max_force)
    finished, accounts, seen = [], {}, {}
    n_confs_made = 0
    for source, entries in locations.items():
        slices = cut_into_slices(entries, [sum(entry.n_bytes) for entry in entries], SLICE_BYTES)
        n_workers = min(arguments.n_workers, len(slices))
        shards = make_shards(arguments.output, source, slices, convert, settings, n_workers, description=source)
        n_confs_made += sum(
            row["n_confs"]
            for result, made in zip(shards.results, shards.made, strict=True)
            for row in result["rows"]
            if made
        )
        shards, accounts[source], seen = settle_account(shards, seen)
        finished.append((shards, {"stage": pathlib.Path(__file__).stem, **make_provenance(accounts[source], settings)}))
        print(format_account(source, accounts[source], arguments.input, N_NAMED))
    check_failures(accounts, arguments.input)
    smiles = sorted({smiles for account in accounts.values() for smiles in account.smiles})
    publish_datasets(arguments.output, finished, {"smiles.json": json.dumps(smiles, indent=0) + "\n"})
    seconds = time.perf_counter() - start
    print(
        f"{len(smiles)} molecules; {seconds:.1f} s, {n_confs_made / seconds:.0f} conformers per second, "
        f"peak memory {format_peak_memory()}"
    )
    print(f"wrote {arguments.output}")


if __name__ == "__main__":
    run_stage(main)
