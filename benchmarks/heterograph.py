"""How fast the archive's graph files are read, beside DGL's own loader where DGL is installed.

    python benchmarks/heterograph.py outputs/8150601

One process, processor time. Each file is read several times and the fastest counts, so that the disk does not; DGL
loads whole graphs, this project's reader the three tensors that stage 001 needs, and as a check that they are equal.
For the comparison, `pip install --no-deps dgl==1.1.3 psutil` and `pip install requests` suffice; nothing else here
needs DGL.
"""

import argparse
import collections.abc
import pathlib
import sys
import time
import typing

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common.espaloma.entry import WANTED
from common.heterograph.reader import read_heterograph
from common.processes.stage import run_stage
from common.processes.threads import use_one_thread

N_FILES = 300  # at most, spread over the archive
N_REPEATS = 5


def measure(read: collections.abc.Callable[[pathlib.Path], typing.Any], paths: list[pathlib.Path]) -> float:
    """The processor seconds that a function takes for all files."""
    total = 0.0
    for path in paths:
        seconds = []
        for _ in range(N_REPEATS):
            start = time.process_time()
            read(path)
            seconds.append(time.process_time() - start)
        total += min(seconds)
    return total


def read_wanted(path: pathlib.Path) -> dict[tuple[str, str], numpy.ndarray]:
    """What stage 001 needs of a file."""
    frames = read_heterograph(path, keep=WANTED).node_frames
    return {(type_, name): frames[type_][name] for type_, name in WANTED}


def describe(name: str, seconds: float, paths: list[pathlib.Path]) -> str:
    """One line of the result."""
    n_bytes = sum(path.stat().st_size for path in paths)
    return f"{name:24s} {1e3 * seconds / len(paths):7.2f} ms a file {n_bytes / 1e6 / seconds:8.0f} MB/s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=pathlib.Path, help="folder with graph files, at any depth")
    archive = parser.parse_args().archive
    paths = sorted(archive.rglob("heterograph.bin"))
    if not paths:
        raise ValueError(f"{archive}: no heterograph.bin below it; name an archive")
    paths = paths[:: max(1, len(paths) // N_FILES)]
    use_one_thread()
    own = measure(read_wanted, paths)
    print(f"{len(paths)} files, {sum(path.stat().st_size for path in paths) / len(paths) / 1e3:.0f} kB on average")
    print(describe("this project", own, paths))
    try:
        import dgl
    except ImportError as error:
        print(f"DGL cannot be imported ({error}): no comparison")
        return
    theirs = measure(lambda path: dgl.load_graphs(str(path)), paths)
    print(describe(f"dgl.load_graphs {dgl.__version__}", theirs, paths) + f", ratio {theirs / own:.1f}")
    for path in paths:
        [graph], _ = dgl.load_graphs(str(path))
        for (type_, name), values in read_wanted(path).items():
            numpy.testing.assert_array_equal(values, graph.nodes[type_].data[name].numpy())
    print("all tensors are equal")


if __name__ == "__main__":
    run_stage(main)
