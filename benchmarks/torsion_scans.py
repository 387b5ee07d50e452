"""What a fit to energies alone makes of torsion scans that it has not seen.

    python benchmarks/torsion_scans.py SCANS.jsonl.gz --force-field force-fields/openff-2.1.0.offxml --seeds 0 1 2

SCANS has a molecule a line: "smiles" (fully mapped), "coords" [Angstrom] of each conformer, "energy" [kcal/mol].
Stages 002, 004 (exact, priors by cross-validation) and 005 run for each seed of the split; printed are the errors of
the relative energies of the test molecules, before and after, and their change with its interval, resampled over
molecules.
"""

import argparse
import gzip
import json
import pathlib
import subprocess
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common.data.dataset import Entry, ShardWriter, finish_dataset

ROOT = pathlib.Path(__file__).resolve().parent.parent


def write_scans(source: pathlib.Path, output: pathlib.Path) -> None:
    """A folder as stage 001 writes it, entries with energies alone."""
    work = output / ".scans.work"
    work.mkdir(parents=True, exist_ok=True)
    smiles = set()
    with gzip.open(source, "rt") as file, ShardWriter(work / "shard.arrow") as shard:
        for line in file:
            record = json.loads(line)
            coords, energy = numpy.array(record["coords"]), numpy.array(record["energy"])
            mean = float(energy.mean())
            nothing = numpy.full_like(coords, numpy.nan)
            shard.write(Entry(record["smiles"], coords, energy - mean, nothing, mean, str(record["id"])))
            smiles.add(record["smiles"])
    finish_dataset(work, [work / "shard.arrow"], output / "scans", {"stage": "benchmark", "input": source.name})
    (output / "smiles.json").write_text(json.dumps(sorted(smiles), indent=0) + "\n")


def run(stage: str, *options: object) -> None:
    subprocess.run([sys.executable, str(ROOT / stage), *map(str, options)], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scans", type=pathlib.Path)
    parser.add_argument("--force-field", required=True)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/benchmarks/torsion-scans"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    output, parameters = arguments.output, arguments.output / "start.pt"
    if not (output / "data-raw" / "scans" / "state.json").is_file():
        write_scans(arguments.scans, output / "data-raw")
    if not parameters.is_file():
        run(
            "002-parameterize.py",
            "--force-field",
            arguments.force_field,
            "--input",
            output / "data-raw",
            *("--output", parameters),
        )
    changes = []
    for seed in arguments.seeds:
        folder = output / f"seed-{seed}"
        if not list(folder.glob("analysis/*/metrics.json")):
            options = ("--data", output / "data-raw", "--parameters", parameters, "--output", folder / "runs")
            run("004-train.py", *options, "--method", "exact", "--split-seed", seed, "--test-fraction", 0.2)
            run("005-analyze.py", folder / "runs", "--output", folder / "analysis", "--n-workers", 1)
        metrics = json.loads(max(folder.glob("analysis/*/metrics.json")).read_text())
        group = next(g for g in metrics["groups"] if (g["split"], g["source"]) == ("test", "all"))
        before, after = (group["candidates"][name]["energy_rmse"] for name in ("initial", "fitted"))
        change = metrics["comparison"]["energy"]
        low, high = change["interval"]
        changes.append(change["change"])
        print(
            f"seed {seed}: {group['n_molecules']} test molecules, {before:.3f} -> {after:.3f} kcal/mol "
            f"({change['change']:+.1%}, 95 % {low:+.1%} to {high:+.1%})",
            flush=True,
        )
    print(f"median change {numpy.median(changes):+.1%}")


if __name__ == "__main__":
    main()
