"""How fast 001-import-own-data.py reads a file in SPICE's layout, and how much memory it takes.

    python benchmarks/own_data.py --conformers 2000 10000

The file is made up: ETKDG conformers with thermal noise, energies and gradients of MMFF94, groups of 50 conformers
(SPICE 2 has 16 in a group on average, its DES370K dimers up to hundreds), in one HDF5 file of the layout that SPICE
publishes. The script runs as a user runs it, in a fresh process, checks of what the numbers look like included; beside
its own figure of conformers a second stands the time of the whole command.
"""

import argparse
import itertools
import pathlib
import platform
import re
import sys
import tempfile

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks.make_archive import compute_energies, iterate_molecules
from benchmarks.stages import MEMORY, RATE, run_script
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_smiles, to_mapped_smiles
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.units import BOHR_TO_ANGSTROM

N_STARTS = 5  # ETKDG conformers of a group
NOISE = 0.03  # [Angstrom] standard deviation of each coordinate about them
DOUBTS = re.compile(r"(\d+) of \d+ entries look")


def write_spice_file(path: pathlib.Path, n_confs: int, group_size: int) -> None:
    """A file of made-up conformers in SPICE's layout, a molecule in each group."""
    import h5py

    random = numpy.random.default_rng(7)
    with h5py.File(path, "w") as file:
        for i, smiles in enumerate(itertools.islice(iterate_molecules(), -(-n_confs // group_size))):
            mol = from_smiles(smiles)
            n = min(group_size, n_confs - i * group_size)
            starts = embed_conformers(mol, N_STARTS, seed=i, max_iterations=20)
            coords = starts[numpy.arange(n) % len(starts)] + NOISE * random.standard_normal((n, *starts.shape[1:]))
            energy, gradient = compute_energies(mol, coords, random)
            group = file.create_group(f"molecule-{i}")
            group["smiles"] = [to_mapped_smiles(mol)]
            group["atomic_numbers"] = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
            for key, values, unit in (
                ("conformations", coords / BOHR_TO_ANGSTROM, "bohr"),
                ("dft_total_energy", energy, "hartree"),
                ("dft_total_gradient", gradient, "hartree/bohr"),
            ):
                group[key] = values
                group[key].attrs["units"] = unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conformers", type=int, nargs="+", default=[2_000, 10_000], help="default: %(default)s")
    parser.add_argument("--group-size", type=int, default=50, help="conformers in a group; default: %(default)s")
    parser.add_argument("--n-workers", type=int, nargs="+", default=sorted({1, count_available_cpus()}))
    parser.add_argument("--rounds", type=int, default=3, help="of which the fastest counts; default: %(default)s")
    arguments = parser.parse_args()
    print(f"{platform.system()} {platform.machine()}, groups of {arguments.group_size}\n")
    print(
        "| conformers | file [MB] | workers | conformers/s | whole command [s] | peak memory [MB] | each worker [MB] |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for n_confs in arguments.conformers:
        with tempfile.TemporaryDirectory() as temporary:
            path = pathlib.Path(temporary) / "made-up.hdf5"
            write_spice_file(path, n_confs, arguments.group_size)
            for n_workers in arguments.n_workers:
                print(measure(path, n_confs, n_workers, arguments.rounds), flush=True)


def measure(path: pathlib.Path, n_confs: int, n_workers: int, n_rounds: int) -> str:
    """One line of the table: the fastest of several runs."""
    rows = []
    for i in range(n_rounds):
        output = path.parent / f"data-raw-{n_workers}-{i}"
        seconds, console = run_script(
            "001-import-own-data.py", path, "--output", output, "--n-workers", n_workers, "--doubts", "warn"
        )
        rate, own, workers = RATE.search(console)[1], *MEMORY.search(console).groups()
        rows.append((float(rate), seconds, own, workers or "-"))
    rate, seconds, own, workers = max(rows)
    size = path.stat().st_size / 1e6
    return f"| {n_confs} | {size:.0f} | {n_workers} | {rate:.0f} | {seconds:.1f} | {own} | {workers} |"


if __name__ == "__main__":
    run_stage(main)
