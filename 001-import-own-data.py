"""Import your own quantum calculations: conformers, energies and forces.

Reads   the files named                 extended XYZ, ASE database, table of SMILES with XYZ files, HDF5 as SPICE's,
                                        QCArchive records as JSON, .npz as MD17's, data set of descent
Writes  outputs/data-raw/<name>/        coordinates [A], energies [kcal/mol], forces [kcal/mol/A], float64
        outputs/data-raw/smiles.json    the molecules of all data sets there as fully mapped SMILES, sorted

    python 001-import-own-data.py my-conformers.xyz
    python 001-import-own-data.py my-conformers.xyz --smiles my-molecules.smi --energy-unit hartree
    python 001-import-own-data.py SPICE-2.0.1.hdf5 --name spice

Molecules come from SMILES in the file, from a table by name (--smiles), or from the geometry and its charge; atoms are
mapped by their bonds. Other data sets in the output stay; that of the same name is replaced. What is left out, and
why, is said on the console and, name by name, in provenance.json. Where coordinates, energies and forces do not look
like what they should be (sign, unit, order of the atoms), the stage says so and writes nothing (--doubts).

Some 10,000 conformers a second on two cores, depending on the format. An interrupted run goes on where it stopped.
"""

import dataclasses
import functools
import json
import pathlib
import re
import time
import typing

import ase
import rdkit
import tyro

from common.data.accounts import Account, format_account, make_provenance, settle_account
from common.data.index import index_dataset
from common.data.shards import make_shards, publish_datasets, reserve_output
from common.own_data.conversion import ADVICE, VERSION, Import, cut_blocks, import_slice
from common.own_data.formats import FIXED_UNITS, FORMATS, find_all_blocks, recognize, stamp_files
from common.own_data.records import Reading
from common.own_data.smiles_tables import read_smiles_by_name
from common.own_data.units import parse_units
from common.plausibility.checks import VERSION as CHECKS_VERSION
from common.plausibility.judgement import Policy, judge
from common.processes.memory import format_peak_memory
from common.processes.slices import cut_into_slices
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, NonNegative, Positive, Share, StageSettings

OUTPUTS = pathlib.Path("outputs")
PARAMETERS = OUTPUTS / "openff-2.1.0.pt"
SAGE = "openff-2.1.0.offxml"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """What is imported, and how it is to be read."""

    inputs: tyro.conf.Positional[Contents[tuple[pathlib.Path, ...]]] = ()  # files of one format

    name: str | None = None  # of the data set; None: that of the first file
    format: typing.Literal["auto", *FORMATS] = "auto"  # by the suffix
    energy_unit: str | None = None  # hartree, eV, kcal/mol, kJ/mol; None: what the file or the format says
    length_unit: str | None = None  # angstrom, bohr, nm
    force_unit: str | None = None  # e.g. hartree/bohr; None: energy over length
    gradients: bool = False  # what the file calls forces are gradients, +dE/dx
    license: Machine[str | None] = None  # of the data, for provenance.json and the card of what is fitted to them
    smiles: Contents[pathlib.Path | None] = None  # table of names and SMILES: .smi, or CSV with name and smiles
    charge: int = 0  # [e] of molecules whose SMILES and charge the file does not say

    smiles_key: str = "smiles"  # what the file calls it
    name_key: str = "name"
    energy_key: str = "energy"
    forces_key: str = "forces"
    charge_key: str = "charge"

    max_force: Positive[float] | None = None  # [kcal/mol/A] conformers with a larger force on any atom are dropped
    max_conformers: AtLeastOne[int] = 10_000  # of an entry; longer trajectories become several entries
    max_failed_fraction: Share[float] = 0.05  # of the molecules; with more, something is wrong with the files
    doubts: Machine[Policy] = "refuse"  # "warn" goes on where much looks like other units, signs, orders
    slice_bytes: Machine[AtLeastOne[int]] = 8_000_000  # of the conformers in one shard: about half a second of work
    n_named: Machine[NonNegative[int]] = 3  # molecules named on the console for each reason; provenance.json has all

    output: Machine[pathlib.Path] = OUTPUTS / "data-raw"  # folder of data sets
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    def check(self) -> None:
        if self.name is not None and not NAME.fullmatch(self.name):
            raise ValueError(f"name = {self.name!r}: letters, digits and . + - only")
        parse_units(self.energy_unit or "eV", self.length_unit or "angstrom", self.force_unit)

    @property
    def source(self) -> str:
        """The name of the data set."""
        return (
            self.name or re.sub(r"[^A-Za-z0-9.+-]+", "-", self.inputs[0].name.partition(".")[0]).strip("-.+") or "own"
        )


def main() -> None:
    settings = read_settings(Settings)
    if not settings.inputs:
        raise ValueError("name at least one file; --help says of which formats")
    format_ = settings.format if settings.format != "auto" else recognize(settings.inputs[0])
    with reserve_output(settings.output, ["smiles.json"]):
        import_data(settings, format_)
    options = {
        "--input": (settings.output, OUTPUTS / "data-raw"),
        "--output": (settings.output.parent / PARAMETERS.name, PARAMETERS),
    }
    print(suggest_command("002-parameterize.py", options))


def make_reading(settings: Settings, format_: str) -> Reading:
    """How the files are to be read.

    Raises:
        ValueError: units are named for a format that has its own, or the table of SMILES is wrong.
    """
    named = [unit for unit in (settings.energy_unit, settings.length_unit, settings.force_unit) if unit]
    if named and format_ in FIXED_UNITS:
        raise ValueError(f"{named[0]!r} is named as a unit, but {format_} files have units of their own; leave it out")
    defaults = FORMATS[format_]
    return Reading(
        units=parse_units(
            settings.energy_unit or defaults.energy_unit,
            settings.length_unit or defaults.length_unit,
            settings.force_unit,
        ),
        gradients=settings.gradients,
        smiles_key=settings.smiles_key,
        name_key=settings.name_key,
        energy_key=settings.energy_key,
        forces_key=settings.forces_key,
        charge_key=settings.charge_key,
        smiles_by_name=read_smiles_by_name(settings.smiles) if settings.smiles else {},
    )


def import_data(settings: Settings, format_: str) -> None:
    """Makes the data set, or ends with the reason why not."""
    start = time.perf_counter()
    reading = make_reading(settings, format_)
    source = settings.source
    blocks = cut_blocks(find_all_blocks(format_, settings.inputs, reading), settings.max_conformers)
    slices = cut_into_slices(blocks, [48 * block.n_atoms * block.n_confs for block in blocks], settings.slice_bytes)
    what = Import(source, format_, reading, settings.charge, settings.max_force, len(settings.inputs) > 1)
    versions = {"rdkit": rdkit.__version__, "ase": ase.__version__, "import": VERSION, "checks": CHECKS_VERSION}
    fingerprint = {"settings": dataclasses.asdict(what), "files": stamp_files(blocks), "versions": versions}
    shards = make_shards(
        settings.output,
        source,
        slices,
        functools.partial(import_slice, what),
        fingerprint,
        min(settings.n_workers, len(slices)),
        description=source,
    )
    n_confs_made = sum(block.n_confs for part, made in zip(slices, shards.made, strict=True) if made for block in part)
    shards, account, _ = settle_account(shards, {})
    print(format_account(source, account, pathlib.Path(), settings.n_named, ADVICE))
    check_failures(account, settings)
    for line in judge({source: (account.doubts, account.n_entries)}, settings.doubts):
        print(line)
    provenance = {
        "stage": pathlib.Path(__file__).stem,
        "files": [path.name for path in settings.inputs],
        **({"license": settings.license} if settings.license else {}),
        **make_provenance(account, {"format": format_, "units": dataclasses.asdict(reading.units), **versions}),
    }
    kept = list_others(settings.output, source)
    smiles = sorted({*account.smiles, *read_smiles(settings.output, kept)})
    publish_datasets(
        settings.output, [(shards, provenance)], {"smiles.json": json.dumps(smiles, indent=0) + "\n"}, kept
    )
    seconds = time.perf_counter() - start
    print(
        f"{len(account.smiles)} molecules; {seconds:.1f} s, {n_confs_made / seconds:.0f} conformers per second, "
        f"peak memory {format_peak_memory()}"
    )
    beside = f", beside {', '.join(kept)}" if kept else ""
    print(f"wrote {settings.output / source}{beside}")


def check_failures(account: Account, settings: Settings) -> None:
    """Ends the run, and leaves what an earlier one wrote as it is, if too little can be used."""
    if not account.n_entries:
        raise ValueError(f"nothing of {settings.inputs[0]} can be used (the reasons are given above)")
    if len(account.failed) > settings.max_failed_fraction * account.n_found:
        raise ValueError(
            f"{len(account.failed)} of {account.n_found} molecules cannot be used (the reasons are given above), more "
            f"than {settings.max_failed_fraction:.0%}: mend the files, or raise --max-failed-fraction; nothing was "
            "written"
        )


def list_others(output: pathlib.Path, source: str) -> list[str]:
    """The data sets in the output that stay."""
    return sorted(path.parent.name for path in output.glob("[!.]*/state.json") if path.parent.name != source)


def read_smiles(output: pathlib.Path, sources: list[str]) -> set[str]:
    """The molecules of data sets in the output."""
    return {row.smiles for source in sources for row in index_dataset(output / source)}


if __name__ == "__main__":
    run_stage(main)
