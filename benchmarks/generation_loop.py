r"""Generated molecules as data for a force field: what they are worth on molecules that nobody has trained on.

    python -m benchmarks.generation_loop --run outputs/example-generate/generators/<run> \
        --molecules outputs/example-generate/molecules/molecules.db --filtered outputs/example-generate/any

Three fits by stages 002 to 004, from the example's starting force field, to energies and forces of GFN2-xTB on the way
of a relaxation: to a few molecules of the training split; to them and the generated ones that 044 has relaxed; to them
and as many further molecules of the training split, the control. 005 compares all of them on molecules of the test
split that are not among the generated. Molecules with real geometries begin where MMFF94 leaves them, generated ones
where they were placed.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Sequence

import numpy
from rdkit import Chem

from common.data.dataset import open_dataset, read_entries
from common.data.molecule_database import Molecule, read_database
from common.files.plain import write_json
from common.generation.ways import write_ways_of
from common.molecules.mapped_smiles import from_mapped_smiles
from common.molecules.perception import name_molecule

ROOT = pathlib.Path(__file__).resolve().parents[1]
STARTER = ROOT / "example" / "starter.offxml"
MAX_FORCE = 1.0  # [kcal/mol/Angstrom] at the end of a relaxation, as 044 has it


def run(script: str, *options: object) -> str:
    """Runs a stage, shows what it prints, and returns it."""
    command = [str(word) for word in (sys.executable, ROOT / script, *options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def label(folder: pathlib.Path, molecules: Sequence[Molecule], n_workers: int, seed: int) -> int:
    """Energies and forces on the way to the minima of molecules, once; how many entries there are."""
    if not folder.exists():
        smiles = [molecule.smiles for molecule in molecules]
        write_ways_of(folder, smiles, MAX_FORCE, n_workers, {"stage": "benchmarks.generation_loop"}, seed)
    return len(open_dataset(folder))


def name_entries(folder: pathlib.Path) -> list[str]:
    """The molecules of a data set, stereochemistry aside."""
    return [name_molecule(from_mapped_smiles(entry.smiles), True) for entry in read_entries(open_dataset(folder))]


def fit(folder: pathlib.Path, sources: Sequence[pathlib.Path], n_workers: int) -> pathlib.Path:
    """002 to 004 on data sets; the fitted force field."""
    raw = folder / "data-raw"
    for source in sources:
        shutil.copytree(source, raw / source.name)
    smiles = [entry.smiles for source in sources for entry in read_entries(open_dataset(source))]
    write_json(raw / "smiles.json", list(dict.fromkeys(smiles)))
    parameters, data = folder / "starter.pt", folder / "data"
    workers = ("--n-workers", n_workers)
    run("002-parameterize.py", "--input", raw, "--force-field", STARTER, "--output", parameters, *workers)
    run("003-cluster-and-filter.py", "--input", raw, "--parameters", parameters, "--output", data, *workers)
    options = (
        "--method",
        "exact",
        "--prior-strength",
        "validation",
        "--validation-fraction",
        "0.2",
        "--test-fraction",
        "0",
    )
    run(
        *("004-train.py", *options, "--data", data, "--parameters", parameters, "--output", folder / "runs"),
        *("--statistics", folder / "statistics", "--n-processes", 1),
    )
    (fitted,) = (folder / "runs").glob("*/force-field.offxml")
    return pathlib.Path(shutil.copy(fitted, folder.parent / f"{folder.name}.offxml"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=pathlib.Path, required=True, help="of 042")
    parser.add_argument("--molecules", type=pathlib.Path, required=True, help="database that it was trained on")
    parser.add_argument("--filtered", type=pathlib.Path, required=True, help="what 044 wrote")
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/generation-loop"))
    parser.add_argument("--n-few", type=int, default=40, help="molecules of the first fit; default %(default)s")
    parser.add_argument("--n-test", type=int, default=150, help="held out; default %(default)s")
    parser.add_argument("--n-workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    output, workers, seed = arguments.output, arguments.n_workers, arguments.seed

    generated = arguments.filtered / "data-raw" / "generated"
    of_generated = set(name_entries(generated))
    database = read_database(arguments.molecules)
    splits = json.loads((arguments.run / "splits.json").read_text())
    random = numpy.random.default_rng(seed)

    def draw(split: str, n: int, known: set[str]) -> list[Molecule]:
        chosen: list[Molecule] = []
        for row in random.permutation(splits[split]):
            molecule = database.molecules[row - 1]
            name = name_molecule(Chem.MolFromSmiles(molecule.smiles), True)
            if name not in known:
                known.add(name)
                chosen.append(molecule)
            if len(chosen) == n:
                break
        return chosen

    n_generated = len(of_generated)
    few, control = numpy.split(
        numpy.array(draw("train", arguments.n_few + n_generated, set()), dtype=object), [arguments.n_few]
    )
    test = draw("test", arguments.n_test, set(of_generated))
    sets = {"few": few, "control": control, "test": test}
    counts = {name: label(output / "labels" / name, own, workers, seed) for name, own in sets.items()}
    print(
        f"{counts['few']} molecules; {len(open_dataset(generated))} generated; {counts['control']} control; "
        f"{counts['test']} test"
    )

    labels = output / "labels"
    shutil.rmtree(output / "fits", ignore_errors=True)
    fits = {
        "few": [labels / "few"],
        "few-and-generated": [labels / "few", generated],
        "few-and-control": [labels / "few", labels / "control"],
    }
    fitted = [fit(output / "fits" / name, sources, workers) for name, sources in fits.items()]
    held = output / "fits" / "held"
    shutil.copytree(labels / "test", held / "data-raw" / "test")
    write_json(
        held / "data-raw" / "smiles.json", sorted({e.smiles for e in read_entries(open_dataset(labels / "test"))})
    )
    held_out = ("--input", held / "data-raw", "--n-workers", workers)
    run("002-parameterize.py", *held_out, "--force-field", STARTER, "--output", held / "starter.pt")
    data = ("--data", held / "data-raw", "--parameters", held / "starter.pt", "--n-workers", workers)
    print(run("005-analyze.py", *data, "--output", held / "analysis", "--force-field", *fitted))


if __name__ == "__main__":
    main()
