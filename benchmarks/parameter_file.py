"""How long the parameters file takes to write and to read, against format 1, on made-up molecules.

    python benchmarks/parameter_file.py --molecules 17000
    python benchmarks/parameter_file.py --molecules 17000 --force-field openff-2.1.0.offxml

Molecules are some of benchmarks/make_archive.py, parameterised by the built-in engine and repeated under other names,
each with charges of its own. Format 1, which had a dict for each molecule and one small tensor for each field of it, is
written and read by what is left of its code below. The two take turns; of each the fastest counts. Written files are
on the disk (fsync) when the clock stops. The peak memory of reading is that of a fresh process, libraries included.
"""

import argparse
import collections
import collections.abc
import contextlib
import dataclasses
import gc
import itertools
import os
import pathlib
import pickle
import platform
import subprocess
import sys
import tempfile
import time
import typing
import zipfile

import torch
from rdkit import Chem

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from benchmarks.make_archive import iterate_molecules
from common.forcefields.parameter_file import load_parameters, save_parameters
from common.forcefields.tensors import (
    NonbondedParameterMap,
    ParameterizedMolecules,
    ParameterKey,
    TensorForceField,
    TensorPotential,
    TensorTopology,
    ValenceParameterMap,
)
from common.molecules.mapped_smiles import to_mapped_smiles
from common.processes.memory import measure_peak_memory
from common.processes.stage import run_stage
from common.smirnoff.find import find_force_field
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize

ROOT = pathlib.Path(__file__).resolve().parent.parent

N_REAL = 400
"""Molecules that are parameterised; the others repeat them."""

N_TURNS = 3


# --- made-up molecules -----------------------------------------------------------------------------------------------


def make_molecules(n_molecules: int, force_field: str) -> ParameterizedMolecules:
    """So many topologies, all of whose tensors are their own, as they are when a stage has just made them."""
    smiles = [
        to_mapped_smiles(Chem.AddHs(Chem.MolFromSmiles(one))) for one in itertools.islice(iterate_molecules(), N_REAL)
    ]
    real = parameterize(read_force_field(find_force_field(force_field)), smiles, 1)
    charges = real.force_field.potentials_by_type["Electrostatics"]
    topologies: dict[str, TensorTopology] = {}
    keys: list[ParameterKey] = []
    values: list[torch.Tensor] = []
    repeated = itertools.islice(itertools.cycle(real.topologies.items()), n_molecules)
    for i, (one, topology) in enumerate(repeated):
        name = f"{one} {i}"
        own = charges.parameters[topology.parameters["Electrostatics"].parameter_idxs]
        topologies[name] = copy_topology(topology, torch.arange(len(own)) + len(keys))
        keys += [ParameterKey(name, j) for j in range(len(own))]
        values.append(own)
    everything = {"parameters": torch.cat(values), "parameter_keys": tuple(keys)}
    potentials = (*(p for p in real.force_field.potentials if p.type != charges.type),)
    potentials += (dataclasses.replace(charges, **everything),)
    return dataclasses.replace(real, force_field=TensorForceField(potentials), topologies=topologies)


def copy_topology(topology: TensorTopology, charge_idxs: torch.Tensor) -> TensorTopology:
    """A topology with other charges; both non-bonded maps share their exclusions."""
    maps: dict[str, typing.Any] = {}
    vdw = topology.parameters["vdW"]
    exclusions = (vdw.exclusions.clone(), vdw.exclusion_scale_idxs.clone())
    for type_, map_ in topology.parameters.items():
        if type_ == "Electrostatics":
            maps[type_] = NonbondedParameterMap(charge_idxs, *exclusions)
        elif type_ == "vdW":
            maps[type_] = NonbondedParameterMap(map_.parameter_idxs.clone(), *exclusions)
        else:
            maps[type_] = ValenceParameterMap(map_.particle_idxs.clone(), map_.parameter_idxs.clone())
    fields = (topology.atomic_nums, topology.formal_charges, topology.bond_idxs, topology.bond_orders)
    return TensorTopology(*(field.clone() for field in fields), maps)


# --- format 1 --------------------------------------------------------------------------------------------------------


def write_format_1(path: pathlib.Path, molecules: ParameterizedMolecules) -> None:
    """A dict for each molecule; its small tensors are views of one buffer."""
    potentials = []
    for potential in molecules.force_field.potentials:
        plain = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(potential).items()}
        potentials.append(plain | {"parameter_keys": [key._asdict() for key in potential.parameter_keys]})
    topologies = {
        smiles: vars(topology) | {"parameters": {type_: vars(map_) for type_, map_ in topology.parameters.items()}}
        for smiles, topology in molecules.topologies.items()
    }
    plain = {
        "format": 1,
        "force_field": {"potentials": potentials},
        "topologies": share_storage(topologies),
        "failures": molecules.failures,
        "provenance": molecules.provenance,
    }
    with open(path, "wb") as file:
        torch.save(plain, file)


def share_storage(plain: dict) -> dict:
    leaves: dict[int, torch.Tensor] = {}

    def collect(value: typing.Any) -> None:
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        else:
            leaves[id(value)] = value

    collect(plain)
    buffer = torch.cat([leaf.reshape(-1) for leaf in leaves.values()])
    pieces = buffer.split([leaf.numel() for leaf in leaves.values()])
    views = {key: piece.view(leaf.shape) for (key, leaf), piece in zip(leaves.items(), pieces, strict=True)}

    def rebuild(value: typing.Any) -> typing.Any:
        return {name: rebuild(item) for name, item in value.items()} if isinstance(value, dict) else views[id(value)]

    return rebuild(plain)


class Unpickler1(pickle.Unpickler):
    """Python's unpickler in C, which knew the names of tensors alone: ``torch.load`` took half a minute."""

    def __init__(self, file: typing.IO[bytes], archive: zipfile.ZipFile, folder: str):
        super().__init__(file)
        self.read = lambda key: bytearray(archive.read(f"{folder}/data/{key}"))
        self.storages: dict[str, torch.Tensor] = {}

    def find_class(self, module: str, name: str) -> typing.Any:
        known = {"_rebuild_tensor_v2": rebuild_tensor, "OrderedDict": collections.OrderedDict}
        return known.get(name) or {"DoubleStorage": torch.float64, "LongStorage": torch.int64}[name]

    def persistent_load(self, pid: tuple) -> torch.Tensor:
        _, dtype, key, *_ = pid
        if key not in self.storages:
            self.storages[key] = torch.frombuffer(self.read(key), dtype=dtype)
        return self.storages[key]


def rebuild_tensor(storage: torch.Tensor, offset: int, size: tuple, stride: tuple, *_: typing.Any) -> torch.Tensor:
    return storage.as_strided(size, stride, offset)


def read_format_1(path: pathlib.Path) -> ParameterizedMolecules:
    with zipfile.ZipFile(path) as archive:
        folder = archive.namelist()[0].partition("/")[0]
        with archive.open(f"{folder}/data.pkl") as file:
            plain = Unpickler1(file, archive, folder).load()
    potentials = []
    for fields in plain["force_field"]["potentials"]:
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}
        values["parameter_keys"] = tuple(ParameterKey(**key) for key in fields["parameter_keys"])
        potentials.append(TensorPotential(**values))
    topologies = {smiles: read_topology_1(fields) for smiles, fields in plain["topologies"].items()}
    return ParameterizedMolecules(
        TensorForceField(tuple(potentials)), topologies, plain["failures"], plain["provenance"]
    )


def read_topology_1(fields: dict[str, typing.Any]) -> TensorTopology:
    maps = {
        type_: ValenceParameterMap(**map_) if "particle_idxs" in map_ else NonbondedParameterMap(**map_)
        for type_, map_ in fields["parameters"].items()
    }
    return TensorTopology(**{**fields, "parameters": maps})


# --- the comparison --------------------------------------------------------------------------------------------------

FORMATS: dict[int, tuple[collections.abc.Callable, collections.abc.Callable]] = {
    1: (write_format_1, read_format_1),
    2: (save_parameters, load_parameters),
}


@contextlib.contextmanager
def pause_garbage_collection() -> collections.abc.Iterator[None]:
    """As both formats have it, or had it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def time_it(function: collections.abc.Callable[[], typing.Any]) -> tuple[float, float]:
    """Seconds on the wall and of the processor."""
    with pause_garbage_collection():
        wall, cpu = time.perf_counter(), time.process_time()
        kept = function()
        seconds = time.perf_counter() - wall, time.process_time() - cpu
    del kept
    return seconds


def write_to_disk(write: collections.abc.Callable, path: pathlib.Path, molecules: ParameterizedMolecules) -> None:
    write(path, molecules)
    with path.open("rb") as file:
        os.fsync(file.fileno())


def read_alone(number: int, path: pathlib.Path) -> int:
    """The peak memory [MB] of a fresh process that reads the file."""
    command = [sys.executable, __file__, "--read", str(number), path]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def compare(molecules: ParameterizedMolecules, folder: pathlib.Path) -> list[str]:
    """Lines of the table."""
    paths = {number: folder / f"format-{number}.pt" for number in FORMATS}
    seconds: dict[tuple[int, str], list[tuple[float, float]]] = collections.defaultdict(list)
    for _ in range(N_TURNS):
        for number, (write, read) in FORMATS.items():
            path = paths[number]
            seconds[number, "write"].append(time_it(lambda w=write, p=path: write_to_disk(w, p, molecules)))
            seconds[number, "read"].append(time_it(lambda r=read, p=path: r(p)))
    fastest = {key: tuple(map(min, zip(*values, strict=True))) for key, values in seconds.items()}
    lines = [
        "| format | size [MB] | write [s] | of a processor | read [s] | of a processor | peak memory of reading [MB] |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for number, path in paths.items():
        figures = [f"{value:.2f}" for what in ("write", "read") for value in fastest[number, what]]
        memory = read_alone(number, path)
        lines.append(f"| {number} | {path.stat().st_size / 1e6:.0f} | {' | '.join(figures)} | {memory} |")
    ratios = {what: fastest[1, what][0] / fastest[2, what][0] for what in ("write", "read")}
    return [*lines, f"format 2 is written {ratios['write']:.1f} and read {ratios['read']:.1f} times as fast"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=int, default=17_000, help="how many; default: %(default)s")
    parser.add_argument("--force-field", default=str(ROOT / "example" / "starter.offxml"), help="path or name")
    parser.add_argument("--read", nargs=2, metavar=("FORMAT", "FILE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read is not None:
        number, path = arguments.read
        with pause_garbage_collection():
            kept = FORMATS[int(number)][1](pathlib.Path(path))
        print(round(measure_peak_memory()) if kept.topologies else 0)
        return
    molecules = make_molecules(arguments.molecules, arguments.force_field)
    n_atoms = sum(topology.n_atoms for topology in molecules.topologies.values())
    print(f"{len(molecules.topologies)} molecules, {n_atoms} atoms, {molecules.provenance['force_field']}")
    print(
        f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    )
    with tempfile.TemporaryDirectory() as folder:
        print("\n".join(compare(molecules, pathlib.Path(folder))))


if __name__ == "__main__":
    run_stage(main)
