"""Compute the example archive: real quantum energies and gradients in the layout of Zenodo 8150601.

Reads   example/molecules.csv (columns: source, smiles)
Writes  outputs/example-qm/<source>/<smiles>/   geometries and one line of results per DFT calculation
        example/8150601/...                     the archive, once every calculation of an entry is there

    pip install -r example/requirements.txt
    python -m example.compute                   about 100 minutes on two cores
    python -m example.compute --check           forces against finite differences of the energy, figures on the console

An interrupted run continues where it stopped: a DFT result is looked up by its geometry before it is
computed. What each source means follows the real archive:

gen2-opt            every step of DFT geometry optimisations that start from thermally displaced conformers
gen2-torsion        a torsion scan in steps of 15 degrees, all else relaxed with GFN2-xTB, DFT single points
spice-des-monomers  snapshots of GFN2-xTB Langevin dynamics at 500 K, and relaxed ones; DFT single points
spice-pubchem       the same
"""

import argparse
import collections
import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time
import traceback
import urllib.parse

import numpy
import tqdm
from rdkit import Chem

from common.calculators.density_functional import OPENFF_DEFAULT, compute_density_functional
from common.calculators.tight_binding import compute_tight_binding
from common.espaloma.writer import write_entry
from common.molecules.bonding import is_bonded_as_drawn
from common.molecules.conformers import embed_conformers
from common.processes.threads import THREAD_VARIABLES, count_available_cpus
from common.selection.farthest import compute_distance_features, select_farthest
from common.units import BOHR_TO_ANGSTROM, HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM

EXAMPLE = pathlib.Path(__file__).resolve().parent

# --- the conformers --------------------------------------------------------------------------------------------------
TEMPERATURE = 500.0  # [K], of the dynamics behind the spice sources
N_DISPLACED = 16  # snapshots kept of the dynamics, by farthest-point sampling
N_RELAXED = 8  # further snapshots, kept after N_RELAXATION_STEPS of minimisation
N_RELAXATION_STEPS = 5
N_SNAPSHOTS = 240  # frames from which the conformers are chosen
SNAPSHOT_INTERVAL = 50  # [MD steps of 0.5 fs] between frames
N_OPT_CONFORMERS = 24  # an optimisation is followed by another from a new start until there are so many
OPT_TEMPERATURE = 400.0  # [K], of the dynamics that displaces the starts of the optimisations
SCAN_STEP = 15  # [degree]
ENERGY_CEILING = 0.1  # [hartree] above the lowest conformer: such conformers are dropped (as in the real archive)
MIN_CONFORMERS = 5


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry of the archive to compute."""

    source: str
    smiles: str

    def folder(self, root: pathlib.Path) -> pathlib.Path:
        """Where the intermediate results of this entry live below ``root``."""
        return root / self.source / urllib.parse.quote(self.smiles, safe="")


def build_molecule(smiles: str) -> Chem.Mol:
    """The molecule with explicit hydrogens, in RDKit's atom order (heavy atoms first)."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None:
        raise ValueError(f"RDKit cannot read the SMILES {smiles!r}: correct it in molecules.csv")
    return Chem.AddHs(mol)


def compute_seed(entry: Entry) -> int:
    """A seed that depends on the entry alone, so that every run makes the same geometries."""
    return int.from_bytes(hashlib.sha256(f"{entry.source}/{entry.smiles}".encode()).digest()[:4], "big") >> 1


# --- levels of theory: coordinates [bohr] -> energy [hartree], gradient [hartree/bohr] --------------------------------


class XtbLevel:
    """GFN2-xTB through tblite: makes geometries, labels nothing."""

    def __init__(self, mol: Chem.Mol):
        self.numbers = numpy.array([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        self.charge = Chem.GetFormalCharge(mol)

    def compute(self, coords: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        return compute_tight_binding("GFN2-xTB", self.numbers, coords, self.charge)


class DftLevel:
    """B3LYP-D3(BJ)/DZVP through PySCF, with every result kept on disk.

    Coordinates are rounded to float32 first, because that is how the archive stores them: energies and
    gradients belong to exactly the geometry that is written.
    """

    def __init__(self, mol: Chem.Mol, path: pathlib.Path, on_result=lambda: None):
        self.numbers = [atom.GetAtomicNum() for atom in mol.GetAtoms()]
        self.charge = Chem.GetFormalCharge(mol)
        self.path = path
        self.on_result = on_result
        self.results: dict[str, dict] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                with contextlib.suppress(json.JSONDecodeError):  # the last line of an interrupted run may be cut short
                    record = json.loads(line)
                    self.results[record["key"]] = record

    def compute(self, coords: numpy.ndarray) -> tuple[float, numpy.ndarray]:
        coords = numpy.asarray(coords, dtype=numpy.float32).reshape(-1, 3)
        key = hashlib.sha256(coords.tobytes()).hexdigest()
        if key not in self.results:
            start = time.perf_counter()
            energy, gradient = compute_density_functional(
                OPENFF_DEFAULT, self.numbers, coords.astype(float), self.charge
            )
            record = {
                "key": key,
                "coords": coords.ravel().tolist(),
                "energy": energy,
                "gradient": gradient.ravel().tolist(),
                "seconds": round(time.perf_counter() - start, 2),
            }
            with self.path.open("a") as file:
                file.write(json.dumps(record) + "\n")
            self.results[key] = record
        self.on_result()
        record = self.results[key]
        return record["energy"], numpy.array(record["gradient"]).reshape(-1, 3)


# --- geometries, all in bohr -----------------------------------------------------------------------------------------


def embed(mol: Chem.Mol, seed: int, n_confs: int) -> list[numpy.ndarray]:
    """``n_confs`` ETKDG starts (fewer if the embedding finds fewer), coordinates [bohr]."""
    return list(embed_conformers(mol, n_confs, seed) / BOHR_TO_ANGSTROM)


def run_dynamics(mol, level, coords, temperature, seed, n_frames) -> list[numpy.ndarray]:
    """Frames of GFN2-xTB Langevin dynamics whose bonds are whole, coordinates [bohr].

    BAOAB splitting in atomic units; friction 0.01 per fs.
    """
    femtosecond = 41.341374575751  # [atomic units of time], CODATA 2018
    boltzmann = 3.166811563e-6  # [hartree/K], CODATA 2018
    step, friction = 0.5 * femtosecond, 0.01 / femtosecond
    table = Chem.GetPeriodicTable()
    masses = numpy.array([[table.GetAtomicWeight(a.GetAtomicNum())] for a in mol.GetAtoms()]) * 1822.888486209
    random = numpy.random.default_rng(seed)
    thermal = numpy.sqrt(boltzmann * temperature / masses)
    decay = numpy.exp(-friction * step)
    x, v = coords.copy(), thermal * random.standard_normal(coords.shape)
    gradient = level.compute(x)[1]
    frames = []
    for i in range((n_frames + 20) * SNAPSHOT_INTERVAL):  # the first 20 intervals equilibrate
        v -= 0.5 * step * gradient / masses
        x += 0.5 * step * v
        v = decay * v + numpy.sqrt(1.0 - decay**2) * thermal * random.standard_normal(x.shape)
        x += 0.5 * step * v
        gradient = level.compute(x)[1]
        v -= 0.5 * step * gradient / masses
        if (
            (i + 1) % SNAPSHOT_INTERVAL == 0
            and i + 1 > 20 * SNAPSHOT_INTERVAL
            and is_bonded_as_drawn(mol, x * BOHR_TO_ANGSTROM)
        ):
            frames.append(x.copy())
    return frames


def minimise(mol, level, coords, max_steps, constraints=None, on_step=None) -> numpy.ndarray:
    """An optimisation by geomeTRIC in translation-rotation internal coordinates; returns the last geometry [bohr].

    Args:
        constraints: text of geomeTRIC's constraint file, or None.
        on_step: called with every geometry that is evaluated.
    """
    import geometric.engine
    import geometric.errors
    import geometric.molecule
    import geometric.optimize

    last = [coords]

    class Engine(geometric.engine.Engine):
        def calc_new(self, flat, dirname):
            last[0] = flat.reshape(-1, 3).copy()
            energy, gradient = level.compute(last[0])
            if on_step:
                on_step(last[0])
            return {"energy": energy, "gradient": gradient.ravel()}

    structure = geometric.molecule.Molecule()
    structure.elem = [atom.GetSymbol() for atom in mol.GetAtoms()]
    structure.xyzs = [coords * BOHR_TO_ANGSTROM]
    with tempfile.TemporaryDirectory() as folder:
        options = {"customengine": Engine(structure), "input": f"{folder}/run", "maxiter": max_steps}
        if constraints:
            (pathlib.Path(folder) / "constraints.txt").write_text(constraints)
            options["constraints"] = f"{folder}/constraints.txt"
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            contextlib.suppress(geometric.errors.GeomOptNotConvergedError),  # max_steps were wanted, not convergence
        ):
            geometric.optimize.run_optimizer(**options)
    return last[0]


def find_torsion(mol: Chem.Mol) -> tuple[int, int, int, int]:
    """The dihedral to scan: about a single bond outside rings, between heavy atoms where there are any."""
    candidates = []
    for bond in mol.GetBonds():
        if bond.GetBondType() != Chem.BondType.SINGLE or bond.IsInRing():
            continue
        ends = [bond.GetBeginAtom(), bond.GetEndAtom()]
        if min(end.GetDegree() for end in ends) < 2:
            continue
        outer = []
        for end, other in (ends, ends[::-1]):
            neighbours = [n for n in end.GetNeighbors() if n.GetIdx() != other.GetIdx()]
            outer.append(max(neighbours, key=lambda n: (n.GetAtomicNum(), -n.GetIdx())))
        n_heavy = sum(atom.GetAtomicNum() > 1 for atom in outer)
        centre = sum(end.GetDegree() for end in ends)
        torsion = (outer[0].GetIdx(), ends[0].GetIdx(), ends[1].GetIdx(), outer[1].GetIdx())
        candidates.append((-n_heavy, centre, torsion))
    if not candidates:
        raise RuntimeError("no rotatable bond to scan: list the molecule under another source")
    return min(candidates)[2]


def make_thermal_geometries(mol: Chem.Mol, seed: int) -> list[numpy.ndarray]:
    """Displaced snapshots of dynamics at TEMPERATURE, and others relaxed by a few steps; coordinates [bohr]."""
    level = XtbLevel(mol)
    frames = []
    starts = embed(mol, seed, 3)
    for k, start in enumerate(starts):
        relaxed = minimise(mol, level, start, 200)
        frames += run_dynamics(mol, level, relaxed, TEMPERATURE, seed + k, N_SNAPSHOTS // len(starts))
    chosen = select_farthest(compute_distance_features(numpy.array(frames)), N_DISPLACED + N_RELAXED)
    relaxed = []
    for i in chosen[N_DISPLACED:]:
        path: list[numpy.ndarray] = []
        minimise(mol, level, frames[i], 200, on_step=path.append)
        relaxed.append(path[min(N_RELAXATION_STEPS, len(path) - 1)])
    return [frames[i] for i in chosen[:N_DISPLACED]] + relaxed


def make_scan_geometries(mol: Chem.Mol, seed: int) -> list[numpy.ndarray]:
    """A relaxed GFN2-xTB torsion scan, each point started from its neighbour; coordinates [bohr]."""
    level = XtbLevel(mol)
    atoms = " ".join(str(i + 1) for i in find_torsion(mol))
    coords = minimise(mol, level, embed(mol, seed, 1)[0], 200)
    geometries = []
    for angle in range(-180, 180, SCAN_STEP):
        with contextlib.suppress(ValueError):  # geomeTRIC gives up on some constrained points: the scan goes on
            coords = minimise(mol, level, coords, 200, constraints=f"$set\ndihedral {atoms} {angle}\n")
            geometries.append(coords)
    return [coords for coords in geometries if is_bonded_as_drawn(mol, coords * BOHR_TO_ANGSTROM)]


def make_optimisation_starts(mol: Chem.Mol, seed: int) -> list[numpy.ndarray]:
    """Displaced geometries from which DFT optimisations start; coordinates [bohr]."""
    level = XtbLevel(mol)
    frames = []
    for k, start in enumerate(embed(mol, seed, 6)):
        relaxed = minimise(mol, level, start, 200)
        frames += run_dynamics(mol, level, relaxed, OPT_TEMPERATURE, seed + k, 8)[-1:]
    return frames


def load_or_make(path: pathlib.Path, make) -> list[numpy.ndarray]:
    """The geometries in ``path``, or those that ``make()`` gives, written there first; coordinates [bohr]."""
    if not path.exists():
        geometries = numpy.array(make())
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npy", delete=False) as file:
            numpy.save(file, geometries)
        pathlib.Path(file.name).replace(path)
    return list(numpy.load(path))


def compute_entry(entry: Entry, root: pathlib.Path, on_result=lambda: None) -> dict[str, numpy.ndarray]:
    """All conformers of one entry.

    Returns:
        ``coords`` [bohr] ``shape=(n_confs, n_atoms, 3)``, ``energy`` [hartree] ``shape=(n_confs,)`` and
        ``gradient`` [hartree/bohr] ``shape=(n_confs, n_atoms, 3)``.
    """
    folder = entry.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    mol, seed = build_molecule(entry.smiles), compute_seed(entry)
    level = DftLevel(mol, folder / "dft.jsonl", on_result)
    if entry.source == "gen2-opt":
        geometries: list[numpy.ndarray] = []
        for start in load_or_make(folder / "starts.npy", lambda: make_optimisation_starts(mol, seed)):
            if len(geometries) < N_OPT_CONFORMERS:
                minimise(mol, level, start, 40, on_step=geometries.append)
    elif entry.source == "gen2-torsion":
        geometries = load_or_make(folder / "geometries.npy", lambda: make_scan_geometries(mol, seed))
    else:
        geometries = load_or_make(folder / "geometries.npy", lambda: make_thermal_geometries(mol, seed))
    level.on_result = on_result if entry.source != "gen2-opt" else lambda: None  # a path has counted its steps already
    results = [level.compute(coords) for coords in geometries]
    return {
        "coords": numpy.array(geometries, dtype=numpy.float32).reshape(len(geometries), -1, 3),
        "energy": numpy.array([energy for energy, _ in results]),
        "gradient": numpy.array([gradient for _, gradient in results]),
    }


# --- the run ---------------------------------------------------------------------------------------------------------


def run_worker(entries, root, events) -> None:
    """Takes entries from the queue until it is empty; reports ("step", 1) and ("entry", (entry, error or None))."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.nice(10)  # hours of work: leave the machine usable
    while (entry := entries.get()) is not None:
        try:
            compute_entry(entry, root, on_result=lambda: events.put(("step", 1)))
            events.put(("entry", (entry, None)))
        except Exception:
            events.put(("entry", (entry, traceback.format_exc())))


def run_entries(entries: list[Entry], root: pathlib.Path, n_processes: int) -> list[tuple[Entry, str]]:
    """Computes all entries in parallel; returns those that failed, with the traceback."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))  # read by the libraries that the workers load
    context = multiprocessing.get_context("spawn")
    queue, events = context.Queue(), context.Queue()
    for entry in [*entries, *[None] * n_processes]:
        queue.put(entry)
    workers = [context.Process(target=run_worker, args=(queue, root, events), daemon=True) for _ in range(n_processes)]
    for worker in workers:
        worker.start()
    failures, n_done = [], 0
    expected = sum(N_OPT_CONFORMERS if e.source == "gen2-opt" else 360 // SCAN_STEP for e in entries)
    with tqdm.tqdm(
        total=expected, unit="conformer", smoothing=0.02, mininterval=1.0 if sys.stderr.isatty() else 60.0
    ) as bar:
        while n_done < len(entries):
            kind, value = events.get()
            if kind == "step":
                bar.total = max(bar.total, bar.n + 1)
                bar.update(value)
                continue
            n_done += 1
            bar.set_postfix_str(f"{n_done}/{len(entries)} entries")
            if value[1]:
                failures.append(value)
                bar.write(f"{value[0].source} {value[0].smiles}: {value[1].strip().splitlines()[-1]}")
    for worker in workers:
        worker.join()
    return failures


def check_forces(root: pathlib.Path, smiles: str = "CC(N)=O", step: float = 2e-3) -> None:
    """Prints forces of one thermally displaced molecule against central differences of the energy.

    The energy is differentiated along the force of each conformer, by ``step`` bohr to either side.
    """
    entry = Entry("spice-des-monomers", smiles)
    data = compute_entry(entry, root)
    level = DftLevel(build_molecule(smiles), entry.folder(root) / "check.jsonl")
    print(f"{smiles}: force along its own direction [kcal/mol/A], analytic and by central differences of the energy")
    scale = HARTREE_PER_BOHR_TO_KCAL_PER_MOL_ANGSTROM
    for k in range(0, len(data["energy"]), 6):
        x, force = data["coords"][k].astype(float), -data["gradient"][k]
        direction = force / numpy.linalg.norm(force)
        ends = [numpy.float32(x + sign * step * direction).astype(float) for sign in (1.0, -1.0)]
        length = float(((ends[0] - ends[1]) * direction).sum())
        numeric = -scale * (level.compute(ends[0])[0] - level.compute(ends[1])[0]) / length
        stored = scale * float((force * direction).sum())
        print(f"  conformer {k:2d}: {stored:12.6f} {numeric:12.6f}  difference {numeric - stored:9.6f}")


def write_archive(entries: list[Entry], root: pathlib.Path, output: pathlib.Path) -> None:
    """Writes the archive; molecules of several sources go where the real archive keeps them.

    Entries are numbered by source; a molecule that occurs in several sources stands under
    ``duplicated-isomeric-smiles-merge/<k>/<source without "-opt">/<entry>`` instead.
    """
    shutil.rmtree(output, ignore_errors=True)
    sources_of = collections.defaultdict(list)
    for entry in entries:
        sources_of[entry.smiles].append(entry.source)
    repeated = [smiles for smiles, sources in sources_of.items() if len(sources) > 1]
    numbers: collections.Counter[str] = collections.Counter()
    n_confs: collections.Counter[str] = collections.Counter()
    for entry in tqdm.tqdm(entries, desc="writing the archive", unit="entry"):
        data = compute_entry(entry, root)
        keep = data["energy"] <= data["energy"].min() + ENERGY_CEILING
        if keep.sum() < MIN_CONFORMERS:
            print(f"left out: {entry.source} {entry.smiles}, {keep.sum()} conformers below the ceiling")
            continue
        folder = output / entry.source / str(numbers[entry.source])
        if entry.smiles in repeated:
            folder = output / "duplicated-isomeric-smiles-merge" / str(repeated.index(entry.smiles))
            folder = folder / entry.source.removesuffix("-opt") / str(numbers[entry.source])
        numbers[entry.source] += 1
        n_confs[entry.source] += int(keep.sum())
        mol = build_molecule(entry.smiles)
        write_entry(folder, mol, data["coords"][keep], data["energy"][keep], data["gradient"][keep])
    for source in numbers:
        print(f"{source}: {numbers[source]} entries, {n_confs[source]} conformers")
    records = [json.loads(line) for path in root.rglob("dft.jsonl") for line in path.read_text().splitlines()]
    seconds = sum(record["seconds"] for record in records)
    print(f"{len(records)} DFT calculations in {root}, {seconds / 3600:.1f} hours of one processor")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--molecules", type=pathlib.Path, default=EXAMPLE / "molecules.csv")
    parser.add_argument("--work", type=pathlib.Path, default=EXAMPLE.parent / "outputs" / "example-qm")
    parser.add_argument("--output", type=pathlib.Path, default=EXAMPLE / "8150601")
    parser.add_argument("--processes", type=int, default=count_available_cpus())
    parser.add_argument("--check", action="store_true", help="check forces by finite differences and stop")
    arguments = parser.parse_args()
    if arguments.check:
        check_forces(arguments.work)
        return
    with arguments.molecules.open() as file:
        entries = [Entry(row["source"], row["smiles"]) for row in csv.DictReader(file)]
    failures = run_entries(entries, arguments.work, arguments.processes)
    for entry, error in failures:
        print(f"\n{entry.source} {entry.smiles}\n{error}")
    write_archive([e for e in entries if e not in {f[0] for f in failures}], arguments.work, arguments.output)


if __name__ == "__main__":
    main()
