"""How fast stages 001 to 003 are, and how much memory each process takes, on made-up archives of several sizes.

    python benchmarks/stages.py --conformers 10000 100000 --force-field openff-2.1.0.offxml

Each stage runs as a user runs it, in a fresh process. What it prints of throughput and memory (each process's own peak,
VmHWM) is put together in a table. Archives come from benchmarks/make_archive.py and are removed at the end.
"""

import argparse
import os
import pathlib
import platform
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks.make_archive import make_archive
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus

ROOT = pathlib.Path(__file__).resolve().parent.parent

RATE = re.compile(r"([0-9.]+) (conformers|molecules) per second")
MEMORY = re.compile(r"peak memory (\d+) MB(?:, workers (\d+) MB)?")


def run_script(script: str, *arguments: str | os.PathLike) -> tuple[float, str]:
    """Runs a stage; gives its seconds, start included, and what it printed.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, str(ROOT / script), *map(str, arguments)]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{script} failed:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - start, done.stdout


def format_row(n_confs: int, n_molecules: int, script: str, seconds: float, console: str) -> str:
    """One line of the table."""
    rate, what = RATE.search(console).groups()
    own, workers = MEMORY.search(console).groups()
    return f"| {n_confs} | {n_molecules} | {script[:3]} | {seconds:.1f} | {rate} {what}/s | {own} | {workers or '-'} |"


def count_bytes(folder: pathlib.Path) -> int:
    """The sizes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure(n_confs: int, folder: pathlib.Path, force_field: str, n_workers: int) -> list[str]:
    """Lines of the table for an archive of one size."""
    done = make_archive(n_confs, folder / "8150601", 0, n_workers)
    n_confs = sum(n for _, n in done)
    n_molecules = len({job.smiles for job, _ in done})
    raw, parameters = folder / "data-raw", folder / "parameters.pt"
    stages = {
        "001-convert-espaloma-data.py": ("--input", folder / "8150601", "--output", raw),
        "002-parameterize.py": ("--input", raw, "--force-field", force_field, "--output", parameters),
        "003-cluster-and-filter.py": (
            "--input",
            raw,
            "--parameters",
            parameters,
            "--output",
            folder / "data-clustered",
        ),
    }
    lines = []
    for script, arguments in stages.items():
        seconds, console = run_script(script, *arguments, "--n-workers", n_workers)
        lines.append(format_row(n_confs, n_molecules, script, seconds, console))
    sizes = ", ".join(
        f"{path.name} {count_bytes(path) / 1e6 if path.is_dir() else path.stat().st_size / 1e6:.0f} MB"
        for path in (folder / "8150601", raw, parameters, folder / "data-clustered")
    )
    print(f"{n_confs} conformers of {n_molecules} molecules: {sizes}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conformers", type=int, nargs="+", default=[10_000, 100_000], help="default: %(default)s")
    parser.add_argument(
        "--force-field", default="openff-2.1.0.offxml", help="path or name, as of 002; default: %(default)s"
    )
    parser.add_argument("--n-workers", type=int, default=count_available_cpus(), help="default: %(default)s")
    parser.add_argument("--work", type=pathlib.Path, help="where the archives go for the time being; default: /tmp")
    arguments = parser.parse_args()
    lines = []
    for n_confs in arguments.conformers:
        with tempfile.TemporaryDirectory(dir=arguments.work) as folder:
            lines += measure(n_confs, pathlib.Path(folder), arguments.force_field, arguments.n_workers)
    print(f"\n{platform.system()} {platform.machine()}, {arguments.n_workers} processes\n")
    print("| conformers | molecules | stage | seconds | throughput | peak memory [MB] | of each worker [MB] |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    print("\n".join(lines))


if __name__ == "__main__":
    run_stage(main)
