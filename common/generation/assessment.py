"""What generated molecules are worth: which are molecules, unlike one another, unlike what was trained on.

Such rates mean something only beside those of the training data under the same check: bond perception refuses some of
any set of real molecules. So everything here is done for both, and every rate has an interval.
"""

import concurrent.futures
import dataclasses
import multiprocessing
import typing
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import numpy
import pebble
import scipy.stats
from rdkit import Chem

from common.generators.batches import Geometry
from common.molecules.perception import (
    PerceptionError,
    PerceptionSettings,
    name_enantiomer,
    name_molecule,
    perceive_bonds,
)
from common.processes.interrupts import end_with_parent, hold_ctrl_c
from common.processes.main_module import spare_main_module
from common.processes.progress import make_bar
from common.processes.threads import give_one_thread

CHUNK_SIZE = 50
"""Molecules that are examined in one task; where it takes too long, each of them alone."""

CONFIDENCE = 0.95

VALID = ""
"""The reason of molecules that pass."""

TIMED_OUT = "time limit"


@dataclasses.dataclass(frozen=True)
class Rate:
    """So many of so many, with Wilson's interval (E. B. Wilson, J. Am. Stat. Assoc. 22, 209, 1927)."""

    count: int
    total: int

    @property
    def value(self) -> float | None:
        return self.count / self.total if self.total else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """At 95 %, as if the molecules were drawn independently."""
        if not self.total:
            return None
        found = scipy.stats.binomtest(self.count, self.total).proportion_ci(CONFIDENCE, "wilson")
        return float(found.low), float(found.high)

    def to_plain(self) -> dict[str, typing.Any]:
        """As JSON holds it."""
        return {"count": self.count, "total": self.total, "value": self.value, "interval": self.interval}


@dataclasses.dataclass(frozen=True)
class Examined:
    """What bond perception makes of one geometry.

    Attributes:
        reason: why it is no molecule; ``VALID`` where it is.
        smiles: canonical, with stereochemistry; "" where it is none.
        flat: without stereochemistry.
        rings: their sizes, ascending.
        block: the molecule with bonds and coordinates, as a mol block; "" where it is none.
    """

    reason: str
    smiles: str = ""
    flat: str = ""
    rings: tuple[int, ...] = ()
    block: str = ""

    @property
    def is_valid(self) -> bool:
        return self.reason == VALID

    @property
    def mol(self) -> Chem.Mol:
        """Bonds and coordinates; atoms in the order of the geometry."""
        return Chem.MolFromMolBlock(self.block, removeHs=False)


def examine(geometry: Geometry, settings: PerceptionSettings) -> Examined:
    """One geometry."""
    try:
        mol = perceive_bonds(geometry.numbers, geometry.coords, settings)
        names = name_molecule(mol), name_molecule(mol, ignore_isomerism=True)
    except PerceptionError as error:
        return Examined(str(error))
    except (ValueError, RuntimeError) as error:  # of RDKit, on what it has perceived itself
        return Examined(f"no valences fit ({type(error).__name__})")
    rings = tuple(sorted(len(ring) for ring in mol.GetRingInfo().AtomRings()))
    return Examined(VALID, *names, rings, Chem.MolToMolBlock(mol))


def _examine_chunk(task: tuple[list[Geometry], PerceptionSettings]) -> list[Examined]:
    geometries, settings = task
    return [examine(geometry, settings) for geometry in geometries]


def examine_all(
    geometries: Sequence[Geometry], settings: PerceptionSettings, n_workers: int, time_limit: float, description: str
) -> list[Examined]:
    """Many geometries, in processes that are ended where a search goes on for ever.

    Args:
        geometries: any.
        settings: what counts as a molecule.
        n_workers: processes.
        time_limit: [s] for one geometry.
        description: what the progress bar says.
    """
    chunks = [list(geometries[i : i + CHUNK_SIZE]) for i in range(0, len(geometries), CHUNK_SIZE)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # a process that replaces one that was ended starts at once
    with hold_ctrl_c(), give_one_thread():
        pool = pebble.ProcessPool(max_workers=n_workers, initializer=end_with_parent, context=context)
    try:
        with spare_main_module(), make_bar(total=len(geometries), desc=description, unit="molecule") as bar:
            results = []
            for chunk, examined in zip(chunks, _run(pool, chunks, settings, CHUNK_SIZE * time_limit), strict=True):
                if examined is None:  # one of them hangs, or took the process with it
                    singles = _run(pool, [[one] for one in chunk], settings, time_limit)
                    examined = [Examined(TIMED_OUT) if one is None else one[0] for one in singles]
                results += examined
                bar.update(len(chunk))
        pool.close()
    except BaseException:  # Ctrl-C among them: no worker outlives the stage
        pool.stop()
        raise
    finally:
        pool.join()
    return results


def _run(
    pool: pebble.ProcessPool, chunks: list[list[Geometry]], settings: PerceptionSettings, time_limit: float
) -> Iterator[list[Examined] | None]:
    """What becomes of each chunk; None for one that is not finished in time or whose process dies."""
    futures = [pool.schedule(_examine_chunk, args=((chunk, settings),), timeout=time_limit) for chunk in chunks]
    for future in futures:
        try:
            yield future.result()
        except (concurrent.futures.TimeoutError, pebble.ProcessExpired):
            yield None


def make_namer(ignore_isomerism: bool, ignore_enantiomers: bool) -> Callable[[Examined], str]:
    """What makes two valid molecules the same.

    Args:
        ignore_isomerism: stereochemistry does not count.
        ignore_enantiomers: mirror images are the same.
    """
    if ignore_isomerism:
        return lambda one: one.flat
    if ignore_enantiomers:
        return lambda one: min(one.smiles, name_enantiomer(one.smiles))
    return lambda one: one.smiles


@dataclasses.dataclass(frozen=True)
class Assessment:
    """The rates of a set of molecules.

    Attributes:
        rates: by name: valid (of all), unique (of the valid), unseen (of the unique: not trained or validated on) and
            novel (of the unique: nowhere in the database).
        reasons: how many are no molecule, by reason.
        found: how many different molecules of the test split are among them.
        is_unique: the first of its kind, ``shape=(n_molecules,)`` bool.
        is_unseen: unique and neither trained nor validated on.
        is_novel: unique and nowhere in the database.
    """

    rates: Mapping[str, Rate]
    reasons: Mapping[str, int]
    found: int
    is_unique: numpy.ndarray
    is_unseen: numpy.ndarray
    is_novel: numpy.ndarray


def assess(
    examined: Sequence[Examined],
    n_asked: int,
    name: Callable[[Examined], str],
    seen: Collection[str],
    held_out: Collection[str],
) -> Assessment:
    """Counts molecules.

    Args:
        examined: of finished molecules.
        n_asked: how many were asked for: those that were given up are not valid.
        name: what :func:`make_namer` gives.
        seen: names of molecules trained or validated on.
        held_out: names of those that were kept for testing.
    """
    is_unique = numpy.zeros(len(examined), dtype=bool)
    is_unseen, is_novel = is_unique.copy(), is_unique.copy()
    reasons: dict[str, int] = {}
    names: set[str] = set()
    for i, one in enumerate(examined):
        if not one.is_valid:
            reasons[one.reason] = reasons.get(one.reason, 0) + 1
            continue
        own = name(one)
        is_unique[i] = own not in names
        names.add(own)
        is_unseen[i] = is_unique[i] and own not in seen
        is_novel[i] = is_unseen[i] and own not in held_out
    if n_asked > len(examined):
        reasons["given up"] = n_asked - len(examined)
    n_valid, n_unique = sum(one.is_valid for one in examined), int(is_unique.sum())
    rates = {
        "valid": Rate(n_valid, n_asked),
        "unique": Rate(n_unique, n_valid),
        "unseen": Rate(int(is_unseen.sum()), n_unique),
        "novel": Rate(int(is_novel.sum()), n_unique),
    }
    return Assessment(rates, reasons, len(names & set(held_out)), is_unique, is_unseen, is_novel)


def assess_reference(
    examined: Sequence[Examined], name: Callable[[Examined], str], n_drawn: int, random: numpy.random.Generator
) -> dict[str, Rate]:
    """The rates of the training data: of all of them, and of as many as were generated, drawn with replacement.

    No generator that has learned the data perfectly would repeat itself less than such a draw does.

    Args:
        examined: the training molecules.
        name: what :func:`make_namer` gives.
        n_drawn: how many to draw.
        random: draws.
    """
    valid = [name(one) for one in examined if one.is_valid]
    drawn = [valid[i] for i in random.integers(0, len(valid), n_drawn)] if valid else []
    return {"valid": Rate(len(valid), len(examined)), "unique": Rate(len(set(drawn)), len(drawn))}
