"""How long the search for finer types takes: the pass at the grain of leaves, scoring, each accepted split.

    python benchmarks/make_quantum_data.py --molecules 345
    python benchmarks/type_search.py --force-field openff-2.1.0.offxml --splits 200

One search on all molecules of the data, nothing left out, priors of one strength for all. Seconds are those of the
clock; run it alone on the machine.
"""

import argparse
import pathlib
import sys
import time

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks.transfer import COLUMNS, prepare_parameters, read_all
from common.data.splits import SplitSettings, assign_folds
from common.forcefields.parameter_file import load_parameters
from common.model_selection.setup import Plan, set_up
from common.sufficient_statistics.accumulation import compute_statistics
from common.sufficient_statistics.settings import PassMachine, PassSettings
from common.type_discovery.discovery import list_types, make_problem
from common.type_discovery.finer_types import build_start
from common.type_discovery.leaf_statistics import LossSettings, compute_leaf_statistics
from common.type_discovery.leaves import find_leaves
from common.type_discovery.search import Search

N_FOLDS = 5
STRENGTH, CHILD_STRENGTH, MIN_MOLECULES = 1e-2, 1.0, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path("outputs/benchmarks/gfn2/data-raw"))
    parser.add_argument("--force-field", required=True)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("outputs/benchmarks/type-search"))
    parser.add_argument("--splits", type=int, default=200)
    arguments = parser.parse_args()
    entries, parameters = prepare_parameters(read_all(arguments.data), arguments.force_field, arguments.output)
    smiles = sorted({entry.smiles for entry in entries})
    settings = PassSettings(split=SplitSettings(0.0, 0.0), assigned=dict.fromkeys(smiles, "train"))
    cache = arguments.output / "cache"
    statistics = compute_statistics(arguments.data, parameters, cache, settings, PassMachine(1))
    assert statistics is not None
    molecules = load_parameters(parameters)
    setup = set_up(Plan(COLUMNS, strength=STRENGTH), molecules, statistics)

    clock = time.perf_counter()
    leaves = find_leaves(molecules, smiles)
    folds = assign_folds(smiles, N_FOLDS, 0)
    sums = compute_leaf_statistics(arguments.data, leaves.molecules, folds, N_FOLDS, LossSettings())
    print(f"{len(smiles)} molecules, {len(leaves.leaves)} leaves, pass {time.perf_counter() - clock:.1f} s")

    start = build_start(setup.objectives["train"], setup.trainable, COLUMNS)
    clock = time.perf_counter()
    problem = make_problem(leaves, sums, start, CHILD_STRENGTH, range(N_FOLDS), None)
    search = Search(problem, list_types(leaves, sums, start, MIN_MOLECULES))
    print(f"{search.n_candidates} candidates on {search.n} columns scored in {time.perf_counter() - clock:.2f} s")
    seconds, counts = [], []
    while len(seconds) < arguments.splits:
        clock = time.perf_counter()
        if search.advance() is None:
            break
        seconds.append(time.perf_counter() - clock)
        counts.append(search.n_candidates)
    print(
        f"{len(seconds)} splits in {sum(seconds):.1f} s, median {numpy.median(seconds):.4f} s each, slowest "
        f"{max(seconds):.3f} s, {min(counts)} to {max(counts)} candidates; loss {search.loss:.6g}"
    )


if __name__ == "__main__":
    main()
