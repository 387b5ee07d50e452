"""QCArchive records as JSON: single points, optimisations, torsion drives, by themselves, in lists or one a line.

What QCFractal, QCPortal and QCEngine write differs in where results stand. Every part of a record that has a molecule
with ``symbols`` and ``geometry`` [bohr], an energy [hartree] and, of gradient calculations, a gradient [hartree/bohr],
is a calculation, wherever in an optimisation or torsion drive it stands
(QCSchema, https://molssi-qc-schema.readthedocs.io).
"""

import collections.abc
import functools
import gzip
import json
import pathlib
import typing

import numpy
from ase.data import atomic_numbers

from common.own_data.extended_xyz import find_smiles
from common.own_data.records import Block, Frames, InputError, Reading, collect_blocks
from common.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM, HARTREE_TO_KCAL_PER_MOL

SMILES_KEYS = ("canonical_isomeric_explicit_hydrogen_mapped_smiles", "cmiles", "smiles")
"""Where a molecule's SMILES may stand in its ``identifiers`` or ``extras``, the best first."""

GRADIENTS = ("return_gradient", "current gradient", "scf_total_gradient")
ENERGIES = ("return_energy", "current energy", "scf_total_energy")


class Calculation(typing.NamedTuple):
    """One calculation, in atomic units; the gradient is empty where there is none."""

    name: str
    smiles: str
    charge: int | None
    symbols: tuple[str, ...]
    coords: numpy.ndarray
    energy: float
    gradient: numpy.ndarray


def find_blocks(path: pathlib.Path, reading: Reading) -> list[Block]:
    """The calculations of a file, those of one SMILES and order of elements together.

    Raises:
        InputError: it is no JSON, or holds no calculation.
    """
    calculations = load_calculations(path, path.stat().st_mtime_ns)
    if not calculations:
        raise InputError(f"{path}: no finished calculation with its molecule in these records")
    return collect_blocks(
        path,
        (
            (
                one.name,
                one.smiles or find_smiles(one.name, path, reading),
                one.charge,
                one.symbols,
                i,
            )
            for i, one in enumerate(calculations)
        ),
    )


def read_block(block: Block, reading: Reading) -> Frames:
    """Reads the calculations of a block; QCArchive has its own units and signs."""
    calculations = load_calculations(block.path, block.path.stat().st_mtime_ns)
    chosen = [calculations[place] for place in block.places]
    shape = (block.n_atoms, 3)
    gradients = [one.gradient if one.gradient.size else numpy.full(shape, numpy.nan) for one in chosen]
    try:
        numbers = [atomic_numbers[symbol] for symbol in chosen[0].symbols]
    except KeyError as error:
        raise InputError(f"{error} is no element") from error
    return Frames(
        numpy.array(numbers, dtype=numpy.int64),
        numpy.stack([one.coords.reshape(shape) for one in chosen]) * BOHR_TO_ANGSTROM,
        numpy.array([one.energy for one in chosen]) * HARTREE_TO_KCAL_PER_MOL,
        -numpy.stack([one.reshape(shape) for one in gradients]) * HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM,
    )


@functools.lru_cache(maxsize=1)
def load_calculations(path: pathlib.Path, modified: int) -> tuple[Calculation, ...]:
    """All finished calculations of a file, in its order, each once.

    Args:
        path: JSON or JSON lines, as they are or compressed by gzip.
        modified: [ns] when the file was changed last: what a worker has read before it need not read again.

    Raises:
        InputError: it is no JSON, or something in it has another shape than the schema says.
    """
    try:
        with gzip.open(path, "rt") if path.suffix == ".gz" else open(path) as file:
            text = file.read()
        try:
            records = [json.loads(text)]
        except json.JSONDecodeError:
            records = [json.loads(line) for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no JSON ({error})") from error
    found: list[Calculation] = []
    for record in records:
        for one in _walk(record, path.name.partition(".")[0], None):
            found += [one] if one.energy == one.energy else []
    return tuple(_drop_repeated(found))


def _walk(value: typing.Any, name: str, parent: dict[str, typing.Any] | None) -> collections.abc.Iterator[Calculation]:
    """The calculations in a record and in what it holds.

    Args:
        value: any part of the JSON.
        name: of the record that it belongs to.
        parent: the molecule of the record around it, whose SMILES serves where its own has none.
    """
    if isinstance(value, list):
        for part in value:
            yield from _walk(part, name, parent)
        return
    if not isinstance(value, dict):
        return
    name = str(value.get("name") or value.get("record_name") or value.get("id") or name)
    if str(value.get("status", "complete")).lower().rpartition(".")[2] != "complete" or value.get("success") is False:
        return
    molecule = value.get("molecule")
    if isinstance(molecule, dict) and _is_molecule(molecule) and (energy := _find_energy(value)) is not None:
        yield _make_calculation(value, molecule, energy, name, parent)
        return
    around = _find_initial_molecule(value) or parent
    trajectory = value.get("trajectory")
    has_trajectory = isinstance(trajectory, list) and any(_is_molecule(_get(part, "molecule")) for part in trajectory)
    if not has_trajectory and _is_molecule(value.get("final_molecule")) and value.get("energies"):
        final = {"molecule": value["final_molecule"], "properties": {"return_energy": value["energies"][-1]}}
        yield from _walk(final, name, around)
    for key, part in value.items():
        if key not in ("molecule", "initial_molecule", "final_molecule", "properties", "return_result"):
            yield from _walk(part, name, around)


def _find_initial_molecule(record: dict[str, typing.Any]) -> dict[str, typing.Any] | None:
    for key in ("initial_molecule", "initial_molecules"):
        value = record.get(key)
        value = value[0] if isinstance(value, list) and value else value
        if isinstance(value, dict) and _is_molecule(value):
            return value
    return None


def _get(value: typing.Any, key: str) -> typing.Any:
    return value.get(key) if isinstance(value, dict) else None


def _is_molecule(value: typing.Any) -> bool:
    return isinstance(value, dict) and "symbols" in value and "geometry" in value


def _find_energy(record: dict[str, typing.Any]) -> float | None:
    driver = record.get("driver") or _get(record.get("specification"), "driver")
    places = [record, record.get("properties"), record.get("extras"), _get(record.get("extras"), "qcvars")]
    if driver == "energy" and isinstance(record.get("return_result"), int | float):
        return float(record["return_result"])
    for place in places:
        for key in ENERGIES:
            value = _get(place, key)
            if isinstance(value, int | float):
                return float(value)
    return None


def _find_gradient(record: dict[str, typing.Any]) -> typing.Any:
    driver = record.get("driver") or _get(record.get("specification"), "driver")
    if driver == "gradient" and record.get("return_result") is not None:
        return record["return_result"]
    for place in (record.get("properties"), record.get("extras"), _get(record.get("extras"), "qcvars"), record):
        for key in GRADIENTS:
            if _get(place, key) is not None:
                return _get(place, key)
    return []


def _find_smiles(*molecules: dict[str, typing.Any] | None) -> str:
    for molecule in molecules:
        for place in (_get(molecule, "identifiers"), _get(molecule, "extras")):
            for key in SMILES_KEYS:
                if isinstance(_get(place, key), str):
                    return _get(place, key)
    return ""


def _make_calculation(
    record: dict[str, typing.Any],
    molecule: dict[str, typing.Any],
    energy: float,
    name: str,
    parent: dict[str, typing.Any] | None,
) -> Calculation:
    symbols = tuple(str(symbol) for symbol in molecule["symbols"])
    try:
        coords = numpy.array(molecule["geometry"], dtype=numpy.float64).reshape(-1)
        gradient = numpy.array(_find_gradient(record), dtype=numpy.float64).reshape(-1)
        charge = molecule.get("molecular_charge")
        charge = None if charge is None else round(float(charge))
    except (TypeError, ValueError) as error:
        raise InputError(f"record {name}: numbers are expected in molecule and gradient ({error})") from error
    if coords.size != 3 * len(symbols) or gradient.size not in (0, coords.size):
        raise InputError(
            f"record {name}: {len(symbols)} symbols, {coords.size} coordinates and {gradient.size} components of the "
            "gradient do not belong together"
        )
    return Calculation(name, _find_smiles(molecule, parent), charge, symbols, coords, energy, gradient)


def _drop_repeated(calculations: list[Calculation]) -> list[Calculation]:
    """Each calculation once: a torsion drive names its best optimisations again."""
    seen: set[tuple] = set()
    kept = []
    for one in calculations:
        key = (one.symbols, one.coords.tobytes(), one.energy)
        if key not in seen:
            seen.add(key)
            kept.append(one)
    return kept
