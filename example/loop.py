"""The five systems as one: what a network invents is labelled, fitted, simulated and coarse-grained.

    make example-loop                       under 15 minutes on two free cores
    python -m example.loop --sizes ci       the same in a minute and a half, for its own sake

Reads   example/small-molecules.npz, example/starter.offxml
Writes  outputs/example-loop/           report.html (read this), what each stage wrote, logs/ (what it printed)

Everything is at the level of GFN2-xTB. A force field is fitted to a few known molecules (002 to 004); a generator
learns from thousands of others, and places molecules that the force field has not seen (041 to 044). Half of these are
held out. The other half is sampled and labelled by active learning, with that force field as the cheap level (021,
022), and the force field is fitted again with them (003, 004). 005 compares before and after on the half that was held
out. One of these molecules is then simulated at the level and with the force field, which is refined until its
simulation looks like the level's (011, 013, 014), and the same molecule becomes a rigid body whose pair potential is
learned (031 to 033).

An interrupted run goes on with the step that it was in.
"""

import argparse
import collections.abc
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import time
import typing

import numpy
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from common.data.dataset import Entry, ShardWriter, finish_dataset, open_dataset, read_entries
from common.data.molecule_database import read_database
from common.files.plain import write_json
from common.generation.ways import write_ways_of
from common.molecules.mapped_smiles import from_mapped_smiles
from common.molecules.perception import name_molecule
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.reporting.console import format_command
from example.loop_page import write_page

ROOT = pathlib.Path(__file__).resolve().parents[1]
STARTER = ROOT / "example" / "starter.offxml"
MAX_FORCE = 1.0
"""[kcal/mol/Angstrom] at the end of a relaxation, as 044 has it."""
MAX_FAILED = ("--max-failed-fraction", "0.5")
"""Molecules that the small starting force field does not know are left out; 044 says which."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much of everything.

    Attributes:
        n_few: known molecules of the first fit.
        n_generated: molecules that are asked for.
        n_relaxed: of these, valid and unique, that are relaxed by the level.
        n_new: of these that are labelled; the others are held out.
        options: further options of a stage, by its number.
    """

    n_few: int
    n_generated: int
    n_relaxed: int
    n_new: int
    options: dict[str, tuple[str, ...]]


SIZES = {
    "full": Sizes(
        n_few=30,
        n_generated=300,
        n_relaxed=110,
        n_new=50,
        options={
            "042": ("--preset", "example", "--n-epochs", "8", "--sample-interval", "0"),
            "043": ("--preset", "example"),
            "044": ("--max-reference", "2000"),
            "021": (
                *("--n-replicas", "2", "--duration", "200", "--n-starts", "100", "--n-initial", "150"),
                *("--n-test", "50", "--n-pretraining", "1500", "--pretraining-steps", "600", "--n-channels", "24"),
            ),
            "022": (
                *("--num-to-run", "300", "--n-initial", "150", "--n-starts", "100", "--retrain-freq", "75"),
                *("--ensemble-size", "2", "--labels-ahead", "0", "--max-steps", "400", "--final-max-steps", "400"),
                *("--max-run-length", "200", "--infer-pool-size", "2"),
            ),
            "011": ("--duration", "10"),
            "013": ("--preset", "ethanol-smirnoff"),
            "014": ("--preset", "ethanol-smirnoff"),
            "031": ("--n-trajectories", "96"),
            "032": ("--preset", "forces"),
            "033": ("--n-chains", "32", "--liquid-bodies", "0"),
        },
    ),
    "ci": Sizes(
        n_few=6,
        n_generated=400,
        n_relaxed=16,
        n_new=6,
        options={
            "042": ("--preset", "example", "--n-epochs", "2", "--sample-interval", "0", "--n-train", "4000"),
            "043": ("--preset", "example"),
            "044": ("--max-reference", "300"),
            "021": (
                *("--n-replicas", "1", "--duration", "50", "--n-starts", "12", "--n-initial", "18", "--n-test", "6"),
                *("--n-pretraining", "60", "--pretraining-steps", "40", "--n-channels", "8"),
            ),
            "022": ("--preset", "ci", "--n-initial", "18", "--n-starts", "12", "--num-to-run", "30"),
            "011": ("--preset", "ci"),
            "013": ("--preset", "ci-smirnoff"),
            "014": ("--preset", "ci-smirnoff"),
            "031": ("--preset", "ci"),
            "032": ("--preset", "ci"),
            "033": ("--preset", "ci"),
        },
    ),
}


class Step(typing.NamedTuple):
    """A part of the way: what it is called, which stages it runs, and what they leave."""

    name: str
    what: str
    run: collections.abc.Callable[[], None]


class Loop:
    """The way round, step by step; what a step found out is in ``facts``, as JSON can hold it."""

    def __init__(self, output: pathlib.Path, sizes: Sizes, n_workers: int, seed: int):
        self.output = output
        self.sizes = sizes
        self.n_workers = n_workers
        self.seed = seed
        path = output / "loop.json"
        self.facts: dict[str, typing.Any] = json.loads(path.read_text()) if path.is_file() else {}
        self.steps = (
            Step("known", "a force field for a few known molecules (002 to 004)", self.fit_known),
            Step("generate", "molecules that it has not seen (041 to 044)", self.generate),
            Step("label", "half of them sampled and labelled (021, 022)", self.label),
            Step("fit", "the force field fitted again, and compared (002 to 005)", self.fit_again),
            Step("simulate", "one of the others simulated and refined (011, 013, 014)", self.simulate),
            Step("coarse-grain", "and made a rigid body (031 to 033)", self.coarse_grain),
        )

    def go(self) -> None:
        """All steps that have not been done yet, and the page."""
        seconds = self.facts.setdefault("seconds", {})
        for i, step in enumerate(self.steps, 1):
            if step.name in seconds:
                continue
            print(f"\n{i} of {len(self.steps)}: {step.what}", flush=True)
            begun = time.monotonic()
            step.run()
            seconds[step.name] = time.monotonic() - begun
            write_json(self.output / "loop.json", self.facts)

    def stage(self, script: str, *options: object, machine: bool = True) -> str:
        """Runs a stage with what its size asks for and shows its last line; what it printed, kept as a log.

        Raises:
            RuntimeError: it failed, with its own reason.
        """
        own = self.sizes.options.get(script[:3], ())
        workers = ("--n-workers", str(self.n_workers)) if machine else ()
        command = [sys.executable, script, *own, *(str(word) for word in options), *workers]
        print(f"$ {format_command(*command[1:])}", flush=True)
        logs = self.output / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        log = logs / f"{len(list(logs.iterdir())):02d}-{pathlib.Path(script).stem}.txt"
        log.write_text(f"{format_command(*command)}\n{done.stdout}{done.stderr}")
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
            raise RuntimeError(f"{script}: {reason[0].removeprefix('error: ')}; all that it said is in {log}")
        return done.stdout

    # --- the steps ---------------------------------------------------------------------------------------------------

    def fit_known(self) -> None:
        """Learns what few molecules teach."""
        folder = self.output / "molecules"
        source = ("--source", "packed", "--input", "example/small-molecules.npz")
        self.stage("041-prepare-molecules.py", *source, "--output", folder)
        molecules = read_database(folder / "molecules.db").molecules
        order = numpy.random.default_rng(self.seed).permutation(len(molecules))
        few = [molecules[i].smiles for i in order[: self.sizes.n_few]]
        written = write_ways_of(
            self.output / "labels" / "few", few, MAX_FORCE, self.n_workers, {"stage": "example.loop"}, self.seed
        )
        self.facts["few"] = written
        self.fit("before", [self.output / "labels" / "few"])

    def generate(self) -> None:
        """Trains a generator, generates, filters, and deals out what came of it."""
        database = self.output / "molecules" / "molecules.db"
        shutil.rmtree(self.output / "generators", ignore_errors=True)
        generators, generated = self.output / "generators", self.output / "generated.db"
        generated.unlink(missing_ok=True)
        self.stage("042-train-generator.py", "--input", database, "--output", generators, machine=False)
        n = ("--n-molecules", self.sizes.n_generated)
        self.stage("043-generate.py", "--run", generators, "--output", generated, *n)
        filtered = self.output / "filtered"
        self.stage(
            *("044-filter-generated.py", "--run", generators, "--input", generated, "--output", filtered),
            *("--n-relaxed", self.sizes.n_relaxed, "--force-field", STARTER),
        )
        self.facts["rates"] = json.loads((filtered / "metrics.json").read_text())["rates"]
        known = {name_flat(smiles) for smiles in self.facts["few"]}
        entries = list(read_entries(open_dataset(filtered / "data-raw" / "generated")))
        first = {name_flat(entry.smiles): entry for entry in reversed(entries)}
        unseen = [entry for name, entry in sorted(first.items()) if name not in known]
        order = numpy.random.default_rng(self.seed).permutation(len(unseen))
        n_new = min(self.sizes.n_new, len(unseen) // 2)
        if not n_new:
            raise RuntimeError(f"{filtered}: {len(unseen)} molecules that are new; that is too few to go on with")
        new, held = ([unseen[i] for i in part] for part in numpy.split(order, [n_new]))
        write_entries(self.output / "labels" / "generated", new)
        write_entries(self.output / "labels" / "held-out", held)
        write_entries(self.output / "starts", [entry.select([-1]) for entry in new])
        self.facts |= {"new": [entry.smiles for entry in new], "held_out": [entry.smiles for entry in held]}

    def label(self) -> None:
        """Has active learning explore the new molecules, by dynamics that begin with the force field so far."""
        spaces, campaigns = self.output / "search-spaces", self.output / "campaigns"
        shutil.rmtree(campaigns, ignore_errors=True)
        self.stage(
            *("021-prepare-search-space.py", "--data", self.output / "starts", "--name", "generated"),
            *("--force-field", self.output / "before.offxml", "--test-dynamics", "force-field", "--output", spaces),
        )
        labelled = self.output / "labels" / "campaign"
        shutil.rmtree(labelled, ignore_errors=True)
        self.stage(
            *("022-run-campaign.py", "--search-space", spaces / "generated", "--output", campaigns),
            *("--data", labelled),
            machine=False,
        )
        (summary,) = campaigns.glob("*/summary.json")
        self.facts["campaign"] = json.loads(summary.read_text())
        self.facts["labelled"] = str(next(path.parent for path in labelled.glob("*/state.json")))

    def fit_again(self) -> None:
        """Fits to all labels so far, and compares on molecules that were held out."""
        labels = self.output / "labels"
        self.fit("after", [labels / "few", labels / "generated", pathlib.Path(self.facts["labelled"])])
        held = self.output / "held-out"
        gather(held / "data-raw", [labels / "held-out"])
        parameters, data = held / "before.pt", held / "data"
        before = self.output / "before.offxml"
        self.stage(
            *("002-parameterize.py", "--input", held / "data-raw", "--force-field", before),
            *("--output", parameters, *MAX_FAILED),
        )
        self.stage(
            *("003-cluster-and-filter.py", "--no-cluster", "--input", held / "data-raw"),
            *("--parameters", parameters, "--output", data),
        )
        shutil.rmtree(held / "analysis", ignore_errors=True)
        self.stage(
            *("005-analyze.py", "--data", data, "--parameters", parameters, "--output", held / "analysis"),
            *("--force-field", self.output / "after.offxml", STARTER),
        )
        (metrics,) = (held / "analysis").glob("*/metrics.json")
        self.facts["analysis"] = str(metrics.parent)

    def simulate(self) -> None:
        """Refines the force field of a molecule that it was not fitted to."""
        smiles = choose_rigid(self.facts["held_out"])
        self.facts["molecule"] = smiles
        reference, name = self.output / "reference", "molecule"
        self.stage("011-sample-reference.py", "--molecule", smiles, "--name", name, "--output", reference)
        own = reference / f"{name}.smi"
        for state in ("before", "after"):
            self.stage(
                *("002-parameterize.py", "--force-field", self.output / f"{state}.offxml", "--smiles", own),
                *("--output", self.output / f"{name}-{state}.pt"),
            )
        stable, after = self.output / "stable", self.output / f"{name}-after.pt"
        shutil.rmtree(stable, ignore_errors=True)
        shutil.rmtree(self.output / "simulations", ignore_errors=True)
        of = ("--reference", reference / name)
        self.stage("013-stabilize.py", *of, "--potential", after, "--output", stable, machine=False)
        before = self.output / f"{name}-before.pt"
        self.stage(
            *("014-simulate.py", before, after, stable, *of, "--output", self.output / "simulations"), machine=False
        )
        (metrics,) = (self.output / "simulations").glob("*/metrics.json")
        self.facts["simulations"] = str(metrics.parent)

    def coarse_grain(self) -> None:
        """Learns the pair potential of the same molecule as a rigid body."""
        trajectories, runs = self.output / "trajectories", self.output / "coarse-graining"
        rollouts = self.output / "rollouts"
        for folder in (runs, rollouts):
            shutil.rmtree(folder, ignore_errors=True)
        field = next((self.output / "stable").glob("*/potential.offxml"))
        self.stage(
            *("031-simulate-bodies.py", "--smiles", self.facts["molecule"], "--parameters", field),
            *("--output", trajectories),
            machine=False,
        )
        self.stage("032-coarse-grain.py", "--folder", trajectories, "--output", runs, machine=False)
        self.stage(
            *("033-roll-out.py", "--runs", *runs.glob("*"), "--names", "learned", "--output", rollouts), machine=False
        )
        (metrics,) = rollouts.glob("*/metrics.json")
        self.facts["rollouts"] = str(metrics.parent)

    # --- what steps share --------------------------------------------------------------------------------------------

    def fit(self, name: str, sources: collections.abc.Sequence[pathlib.Path]) -> None:
        """002 to 004 from the starting force field; the result as ``<name>.offxml``."""
        folder = self.output / "fits" / name
        shutil.rmtree(folder, ignore_errors=True)
        gather(folder / "data-raw", sources)
        parameters, data, runs = folder / "starter.pt", folder / "data", folder / "runs"
        self.stage(
            *("002-parameterize.py", "--input", folder / "data-raw", "--force-field", STARTER),
            *("--output", parameters, *MAX_FAILED),
        )
        self.stage(
            *("003-cluster-and-filter.py", "--no-cluster", "--input", folder / "data-raw"),
            *("--parameters", parameters, "--output", data),
        )
        self.stage(
            *("004-train.py", "--method", "exact", "--test-fraction", "0", "--data", data, "--parameters", parameters),
            *("--output", runs, "--statistics", folder / "statistics", "--n-processes", self.n_workers),
            machine=False,
        )
        (fitted,) = runs.glob("*/force-field.offxml")
        shutil.copy(fitted, self.output / f"{name}.offxml")


def name_flat(mapped_smiles: str) -> str:
    """A molecule without its stereochemistry."""
    return name_molecule(from_mapped_smiles(mapped_smiles), True)


def write_entries(folder: pathlib.Path, entries: collections.abc.Sequence[Entry]) -> None:
    """A data set in place of what is there."""
    work = folder.parent / f".{folder.name}.work"
    work.mkdir(parents=True, exist_ok=True)
    with ShardWriter(work / "shard.arrow") as writer:
        for entry in entries:
            writer.write(entry)
    finish_dataset(work, [work / "shard.arrow"], folder, {"stage": "example.loop"})


def gather(folder: pathlib.Path, sources: collections.abc.Sequence[pathlib.Path]) -> None:
    """Data sets in one folder with the smiles.json of all, as 001 leaves them."""
    shutil.rmtree(folder, ignore_errors=True)
    for source in sources:
        shutil.copytree(source, folder / source.name)
    smiles = [entry.smiles for source in sources for entry in read_entries(open_dataset(source))]
    write_json(folder / "smiles.json", list(dict.fromkeys(smiles)))


def choose_rigid(mapped_smiles: collections.abc.Sequence[str]) -> str:
    """The molecule with the fewest bonds to turn about; of several the one with most rings, then most heavy atoms."""

    def judge(smiles: str) -> tuple[int, int, int, str]:
        mol = Chem.RemoveHs(from_mapped_smiles(smiles))
        rotors = len(mol.GetSubstructMatches(Chem.MolFromSmarts("[!$(*#*)&!D1]-,=;!@[!$(*#*)&!D1]")))
        methyls = len(mol.GetSubstructMatches(Chem.MolFromSmarts("[CH3,NH2,OH]")))
        return rotors + methyls, -rdMolDescriptors.CalcNumRings(mol), -mol.GetNumAtoms(), smiles

    return min(mapped_smiles, key=judge)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", choices=sorted(SIZES), default="full", help="default %(default)s")
    parser.add_argument(
        "--output", type=pathlib.Path, help="folder; default outputs/example-loop, with ci example-loop-ci"
    )
    parser.add_argument("--n-workers", type=int, default=count_available_cpus(), help="default %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn at random; default %(default)s")
    arguments = parser.parse_args()
    suffix = "" if arguments.sizes == "full" else f"-{arguments.sizes}"
    output = (arguments.output or ROOT / "outputs" / f"example-loop{suffix}").resolve()
    loop = Loop(output, SIZES[arguments.sizes], arguments.n_workers, arguments.seed)
    loop.go()
    print(f"\n{write_page(output, loop.facts, [step[:2] for step in loop.steps])}\nread {output / 'report.html'}")


if __name__ == "__main__":
    run_stage(main)
