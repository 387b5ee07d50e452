"""Stage 002: apply a SMIRNOFF force field to every molecule of the data.

Reads   outputs/data-raw/smiles.json      mapped SMILES (from 001-convert-espaloma-data.py)
        a force field file (.offxml)      by path, from force-fields/, or from an installed package
Writes  outputs/openff-2.1.0.pt           parameters and topologies as tensors (named after the force field)

    python 002-parameterize.py
    python 002-parameterize.py --force-field example/starter.offxml --smiles my-molecules.smi
    python 002-parameterize.py --force-field openff-2.1.0.offxml tip3p.offxml

About two minutes for the full data (16,400 molecules) on two cores, charges included.
"""

import dataclasses
import json
import pathlib
import tempfile
import time
import typing

from common.files.atomic import replace_atomically
from common.forcefields.parameter_file import save_parameters
from common.interop.openff_stack import parameterize_with_openff
from common.molecules.smiles_lists import complete_smiles, count_atoms, parse_smiles_list
from common.processes.memory import format_peak_memory
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import suggest_command
from common.runs.options import read_settings
from common.runs.settings import AtLeastOne, Contents, Machine, Share, StageSettings
from common.smirnoff.find import find_force_field
from common.smirnoff.merging import merge_force_fields
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import count_reasons, parameterize

ENGINES = {"builtin": parameterize, "openff": parameterize_with_openff}
"""Functions from (force field file, mapped SMILES, number of processes) to ParameterizedMolecules."""


OUTPUTS = pathlib.Path("outputs")
SAGE = "openff-2.1.0.offxml"


@dataclasses.dataclass(frozen=True)
class Settings(StageSettings):
    """Which force field, which molecules."""

    force_field: Contents[tuple[str, ...]] = (SAGE,)  # paths, or names of files in force-fields/ or a package, in order
    engine: typing.Literal["builtin", "openff"] = "builtin"  # "openff": the OpenFF stack, slower, the same numbers
    max_atoms: AtLeastOne[int] = 1000  # larger molecules fail at once: charges and pairs grow with the square
    max_failed_fraction: Share[float] = 0.05  # fails if more molecules than this cannot be parameterised

    input: Contents[pathlib.Path] = OUTPUTS / "data-raw"  # folder with smiles.json
    smiles: Contents[pathlib.Path | None] = None  # instead, a file of SMILES, "CCO ethanol" a line or a JSON list
    output: Machine[pathlib.Path | None] = None  # None: outputs/<force field>.pt
    n_workers: Machine[AtLeastOne[int]] = dataclasses.field(default_factory=count_available_cpus)  # processes

    def check(self) -> None:
        if not self.force_field:
            raise ValueError("force_field: name at least one file")
        if self.smiles is not None and self.input != Settings.input:
            raise ValueError("--input and --smiles: both say where the molecules are; leave one of them out")


def read_smiles(path: pathlib.Path) -> list[str]:
    """Mapped SMILES, each once: a JSON list, or one a line, with or without a name; from a folder its ``smiles.json``.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it holds no SMILES, or no text at all.
    """
    path = path / "smiles.json" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; run 001-convert-espaloma-data.py, or name a file with --smiles")
    try:
        found = parse_smiles_list(path.read_text())
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: no text ({error}); expected SMILES, as a JSON list or one a line") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return list(dict.fromkeys(found))


def part_by_size(smiles: list[str], max_atoms: int) -> tuple[list[str], dict[str, str]]:
    """The SMILES of molecules that are not too large, complete with hydrogens and map numbers; why not the others."""
    sizes = {one: count_atoms(one) for one in smiles}
    too_large = {
        one: f"too large: more than {max_atoms} atoms (--max-atoms)" for one, size in sizes.items() if size > max_atoms
    }
    return list(dict.fromkeys(complete_smiles(one) for one in smiles if one not in too_large)), too_large


def report_failures(
    failures: dict[str, str], n_molecules: int, max_failed_fraction: float, output: pathlib.Path
) -> None:
    """Prints how many molecules failed and why.

    Raises:
        ValueError: too many failed; which ones stands in a file beside the output then.
    """
    for reason, count, example in count_reasons(failures):
        print(f"  {count:6d}  {reason}, e.g. {example}")
    if len(failures) > max_failed_fraction * n_molecules:
        path = output.with_suffix(".failures.json")
        with replace_atomically(path) as beside:
            beside.write_text(json.dumps(failures, indent=2) + "\n")
        raise ValueError(
            f"{len(failures)} of {n_molecules} molecules failed, more than {max_failed_fraction:.0%}; {path} names "
            "each with its reason. Choose a force field that covers them, or raise --max-failed-fraction"
        )


def main() -> None:
    """Reads, parameterises, writes, and says what comes next."""
    settings = read_settings(Settings)
    force_field = merge_force_fields([read_force_field(find_force_field(name)) for name in settings.force_field])
    smiles, too_large = part_by_size(read_smiles(settings.smiles or settings.input), settings.max_atoms)
    n_molecules = len(smiles) + len(too_large)
    output = settings.output or OUTPUTS / f"{force_field.name.removesuffix('.offxml')}.pt"
    if output.is_dir():
        raise ValueError(f"{output}: is a folder; name a file with --output")
    output.parent.mkdir(parents=True, exist_ok=True)
    tempfile.TemporaryFile(dir=output.parent).close()  # says now, not after the work, that nothing can be written there
    print(f"{n_molecules} molecules, force field {force_field.name}, engine {settings.engine}")

    start = time.perf_counter()
    molecules = ENGINES[settings.engine](force_field, smiles, settings.n_workers)
    molecules = dataclasses.replace(molecules, failures={**molecules.failures, **too_large})
    seconds = time.perf_counter() - start
    print(f"charges: {molecules.provenance['charge_model']}")
    n_done, n_failed = len(molecules.topologies), len(molecules.failures)
    print(f"{n_done} molecules parameterised, {n_failed} failed; {len(smiles) / seconds:.1f} molecules per second")
    report_failures(molecules.failures, n_molecules, settings.max_failed_fraction, output)
    save_parameters(output, molecules)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB written; peak memory {format_peak_memory()}")
    options = {
        "--input": (settings.input, Settings.input),
        "--parameters": (output, OUTPUTS / "openff-2.1.0.pt"),
        "--output": (settings.input.parent / "data-clustered", OUTPUTS / "data-clustered"),
    }
    print(suggest_command("003-cluster-and-filter.py", options))


if __name__ == "__main__":
    run_stage(main)
