"""An archive of any size in the layout of Zenodo 8150601, to see how the pipeline fares with the whole one.

    python benchmarks/make_archive.py --conformers 100000 --output outputs/made-up/8150601

THE FIGURES IN IT ARE MADE UP. Conformers come from ETKDG with noise, energies and gradients from MMFF94 (UFF where that
has no parameters) with noise; no quantum chemistry is behind them, and a force field fitted to them is good for
nothing. What is true to life is the form: the four sources with their shares of the conformers, how many conformers an
entry has, long optimisations among them, how large the molecules are, how large the files, and molecules that occur in
two sources, with their atoms in another order. The damage that the pipeline has to bear is in tests/damages.py.

Molecules are those of example/molecules.csv and benchmarks/molecules.smi, and as many more as are needed by attaching
substituents to them. About a minute for 100,000 conformers on two cores.
"""

import argparse
import collections.abc
import csv
import dataclasses
import itertools
import pathlib
import sys

import numpy
from rdkit import Chem, RDLogger
from rdkit.Chem import AllChem

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from common.espaloma.archive import DUPLICATES
from common.espaloma.writer import write_entry
from common.heterograph.reader import read_heterograph
from common.heterograph.writer import write_heterograph
from common.molecules.conformers import attach_conformers, embed_conformers
from common.molecules.mapped_smiles import from_smiles
from common.processes.memory import format_peak_memory
from common.processes.pool import run_in_processes
from common.processes.stage import run_stage
from common.processes.threads import count_available_cpus
from common.units import BOHR_TO_ANGSTROM, HARTREE_TO_KCAL_PER_MOL

ROOT = pathlib.Path(__file__).resolve().parent.parent

SHARES = {"gen2-opt": 0.2729, "gen2-torsion": 0.0288, "spice-des-monomers": 0.0205, "spice-pubchem": 0.6778}
"""Of the conformers, as in the real archive: 244,989, 25,832, 18,435 and 608,436."""

COUNTS = {"gen2-torsion": (27.0, 8.0), "spice-des-monomers": (50.0, 4.0), "spice-pubchem": (43.0, 6.0)}
"""Mean and standard deviation of the number of conformers of an entry."""

OPT_MEAN, OPT_SPREAD = 240.0, 1.0  # conformers of a gen2-opt entry are log-normal; the spread is the logarithm's
LONGEST = 3000  # conformers of the longest optimisation
LONGEST_SHARE = 0.3  # of all conformers that it may have: every archive of 10,000 or more has one of 3,000
LONGEST_MOLECULE = "Cc1ccc(NC(=O)c2ccc(CN3CCN(C)CC3)cc2)cc1"  # 49 atoms
MIN_CONFS = 5
MIN_ENTRIES = 2  # of each source
SHARED_FRACTION = 0.05  # of the gen2-torsion entries whose molecules are in spice-pubchem as well

SUBSTITUENTS = ("F", "C", "Cl", "OC", "C#N", "C(F)(F)F", "N(C)C", "C(N)=O", "O", "S(C)(=O)=O", "CC", "NC(C)=O", "Br")
SITES = ("[c;H1:1]>>[c:1]{}", "[CX4;H2,H3;!$(C[O,N,S,F,Cl,Br]):1]>>[CX4:1]{}")
MIN_MOLECULES = 260  # to choose from, so that a small archive has not just the small ones that come first
MAX_SUBSTITUENTS = 2  # gives more than the 16,691 molecules of an archive of full size
MAX_HEAVY_ATOMS = 40  # of what a substituent is attached to
MAX_HEAVY_ATOMS_OF_MONOMERS = 12

OPT_DISPLACEMENT, OPT_STEPS = 0.15, 8.0  # [Angstrom] at the start of an optimisation; steps in which it falls to 1/e
THERMAL_NOISE = {"gen2-opt": 0.01, "gen2-torsion": 0.03, "spice-des-monomers": 0.05, "spice-pubchem": 0.05}
"""[Angstrom] Standard deviation of each coordinate, by source."""

ENERGY_NOISE, GRADIENT_NOISE = 1e-4, 1e-3  # [hartree], [hartree/bohr]
ATOM_ENERGIES = {1: -0.6}  # [hartree] of a hydrogen, so that energies are as large as quantum chemistry's
HEAVY_ATOM_ENERGY = -45.0

FORCE_FIELDS = ("gaff-1.81", "gaff-2.11", "openff-1.2.0", "openff-2.0.0")
"""The real files hold energies and gradients of these too; placeholders make the files as large."""


@dataclasses.dataclass(frozen=True)
class Job:
    """One entry to write.

    Attributes:
        folder: where, within the archive.
        source: what it is an entry of.
        smiles: its molecule.
        n_confs: how many conformers.
        seed: of everything random in it.
        is_reordered: whether its atoms stand in another order than RDKit's.
    """

    folder: str
    source: str
    smiles: str
    n_confs: int
    seed: int
    is_reordered: bool = False


# --- molecules -------------------------------------------------------------------------------------------------------


def iterate_molecules() -> collections.abc.Iterator[str]:
    """Different molecules as SMILES: those of the two files, then these with one substituent, then with two."""
    with (ROOT / "example" / "molecules.csv").open() as file:
        bases = [row["smiles"] for row in csv.DictReader(file)]
    bases += (ROOT / "benchmarks" / "molecules.smi").read_text().split()
    seen: set[str] = set()
    generation: collections.abc.Iterable[str] = bases
    for n_substituents in itertools.count():
        fresh = []
        for smiles in generation:
            canonical = Chem.CanonSmiles(smiles)
            if canonical not in seen:
                seen.add(canonical)
                fresh.append(canonical)
                yield canonical
        if n_substituents == MAX_SUBSTITUENTS:
            return
        generation = _substitute(fresh)


def _substitute(molecules: list[str]) -> collections.abc.Iterator[str]:
    """The molecules with one more substituent."""
    RDLogger.DisableLog("rdApp.*")
    reactions = [[AllChem.ReactionFromSmarts(site.format(text)) for site in SITES] for text in SUBSTITUENTS]
    for group in reactions:
        for mol in map(Chem.MolFromSmiles, molecules):
            if mol.GetNumHeavyAtoms() < MAX_HEAVY_ATOMS:
                for reaction in group:
                    yield from _react(mol, reaction)


def _react(mol: Chem.Mol, reaction: AllChem.ChemicalReaction) -> list[str]:
    """The molecules that a reaction makes of one."""
    products = [product for (product,) in reaction.RunReactants((mol,))]
    good = [p for p in products if Chem.SanitizeMol(p, catchErrors=True) == Chem.SanitizeFlags.SANITIZE_NONE]
    return sorted({Chem.MolToSmiles(product) for product in good})


# --- the plan --------------------------------------------------------------------------------------------------------


def draw_counts(source: str, n_confs: int, random: numpy.random.Generator) -> list[int]:
    """Numbers of conformers of the entries of a source, which add up to about ``n_confs`` times its share."""
    wanted = n_confs * SHARES[source]
    counts: list[int] = []
    if source == "gen2-opt":
        counts.append(min(LONGEST, max(MIN_CONFS, int(LONGEST_SHARE * n_confs))))
    while sum(counts) < wanted or len(counts) < MIN_ENTRIES:
        if source == "gen2-opt":
            count = random.lognormal(numpy.log(OPT_MEAN) - OPT_SPREAD**2 / 2, OPT_SPREAD)
        else:
            count = random.normal(*COUNTS[source])
        left = max(wanted - sum(counts), MIN_CONFS)
        counts.append(int(min(max(count, MIN_CONFS), LONGEST, max(left, MIN_CONFS))))
    return counts


def plan_archive(n_confs: int, seed: int) -> list[Job]:
    """All entries of the archive.

    Args:
        n_confs: conformers in all, nearly.
        seed: of everything random.
    """
    random = numpy.random.default_rng(seed)
    counts = {source: draw_counts(source, n_confs, random) for source in SHARES}
    smiles = _share_out_molecules(counts, random)
    jobs = [
        Job(f"{source}/{i}", source, smiles[source][i], n, int(random.integers(2**31)))
        for source in SHARES
        for i, n in enumerate(counts[source])
    ]
    return _move_shared_molecules(jobs)


def _share_out_molecules(counts: dict[str, list[int]], random: numpy.random.Generator) -> dict[str, list[str]]:
    """A molecule for each entry, small ones for the monomers; some of spice-pubchem's are gen2-torsion's as well."""
    n_wanted = sum(map(len, counts.values())) + len(counts["spice-des-monomers"])
    pool = list(itertools.islice(iterate_molecules(), max(n_wanted, MIN_MOLECULES)))
    n_heavy = {text: Chem.MolFromSmiles(text).GetNumHeavyAtoms() for text in pool}
    small = [text for text in pool if n_heavy[text] <= MAX_HEAVY_ATOMS_OF_MONOMERS][: len(counts["spice-des-monomers"])]
    others = [text for text in pool if text not in set(small) and text != LONGEST_MOLECULE]
    random.shuffle(others)
    smiles = {}
    for source in counts:
        own = small if source == "spice-des-monomers" else others
        smiles[source] = [own.pop() if own else others.pop() for _ in counts[source]]
    smiles["gen2-opt"][0] = Chem.CanonSmiles(LONGEST_MOLECULE)
    for i in range(max(1, round(SHARED_FRACTION * len(smiles["gen2-torsion"])))):
        smiles["gen2-torsion"][i] = smiles["spice-pubchem"][i]
    return smiles


def _move_shared_molecules(jobs: list[Job]) -> list[Job]:
    """Entries of molecules that several sources have go where the real archive keeps them."""
    sources = collections.defaultdict(set)
    for job in jobs:
        sources[job.smiles].add(job.source)
    shared = [smiles for smiles, names in sources.items() if len(names) > 1]
    moved = []
    for job in jobs:
        if job.smiles in shared:
            source, _, entry = job.folder.partition("/")
            folder = f"{DUPLICATES}/{shared.index(job.smiles)}/{source.removesuffix('-opt')}/{entry}"
            job = dataclasses.replace(job, folder=folder, is_reordered=source == "gen2-torsion")
        moved.append(job)
    return moved


# --- one entry -------------------------------------------------------------------------------------------------------


def write_job(output: pathlib.Path, job: Job) -> int:
    """Writes an entry; gives the number of its conformers, 0 where no geometry could be found."""
    RDLogger.DisableLog("rdApp.*")
    random = numpy.random.default_rng(job.seed)
    mol = from_smiles(job.smiles)
    if job.is_reordered:
        mol = Chem.RenumberAtoms(mol, random.permutation(mol.GetNumAtoms()).tolist())
    try:
        starts = embed(mol, job)
    except ValueError:  # no geometry: fewer entries, as in the real archive
        return 0
    coords = displace(starts, job, random)
    energy, gradient = compute_energies(mol, coords, random)
    folder = output / job.folder
    write_entry(folder, mol, coords / BOHR_TO_ANGSTROM, energy, gradient)
    add_placeholders(folder / "heterograph.bin", mol.GetNumAtoms(), job.n_confs)
    return job.n_confs


def embed(mol: Chem.Mol, job: Job) -> numpy.ndarray:
    """ETKDG geometries [Angstrom]: the starts of optimisations, or what thermal motion displaces."""
    n_starts = 1 + job.n_confs // 60 if job.source == "gen2-opt" else 1 + job.n_confs // 10
    return embed_conformers(mol, min(n_starts, 20), job.seed, max_iterations=20)


def displace(starts: numpy.ndarray, job: Job, random: numpy.random.Generator) -> numpy.ndarray:
    """Conformers [Angstrom], ``shape=(n_confs, n_atoms, 3)``: optimisations fall towards their start, others shake."""
    which = numpy.arange(job.n_confs) * len(starts) // job.n_confs
    coords = starts[which] + THERMAL_NOISE[job.source] * random.standard_normal((job.n_confs, *starts.shape[1:]))
    if job.source == "gen2-opt":
        steps = numpy.arange(job.n_confs) - numpy.searchsorted(which, which)
        directions = random.standard_normal(starts.shape)[which]
        coords += OPT_DISPLACEMENT * numpy.exp(-steps / OPT_STEPS)[:, None, None] * directions
    return coords


def compute_energies(
    mol: Chem.Mol, coords: numpy.ndarray, random: numpy.random.Generator
) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Made-up energies [hartree] and gradients [hartree/bohr] of conformers [Angstrom]."""
    mol = attach_conformers(mol, coords[:1])  # the force fields want one to start from
    properties = AllChem.MMFFGetMoleculeProperties(mol)
    if properties is not None:
        field = AllChem.MMFFGetMoleculeForceField(mol, properties)
    else:
        field = AllChem.UFFGetMoleculeForceField(mol)
    rows = [row.tolist() for row in coords.reshape(len(coords), -1)]
    # of each conformer the energy first: CalcGrad goes by the distances that CalcEnergy has left behind
    results = [(field.CalcEnergy(row), field.CalcGrad(row)) for row in rows]
    energy = numpy.array([result for result, _ in results]) / HARTREE_TO_KCAL_PER_MOL
    gradient = numpy.array([result for _, result in results]).reshape(coords.shape)
    gradient *= BOHR_TO_ANGSTROM / HARTREE_TO_KCAL_PER_MOL
    base = sum(ATOM_ENERGIES.get(atom.GetAtomicNum(), HEAVY_ATOM_ENERGY) for atom in mol.GetAtoms())
    energy += base + ENERGY_NOISE * random.standard_normal(energy.shape)
    return energy, gradient + GRADIENT_NOISE * random.standard_normal(gradient.shape)


def add_placeholders(path: pathlib.Path, n_atoms: int, n_confs: int) -> None:
    """Adds tensors of the names, shapes and types that real files have beside those that are used; all zero."""
    graph = read_heterograph(path, with_edges=True)
    energies = ("u_ref", "u_ref_relative", *(f"u_{name}" for name in FORCE_FIELDS))
    gradients = ("u_ref_prime", *(f"u_{name}_prime" for name in FORCE_FIELDS))
    graph.node_frames["g"].update({name: numpy.zeros((1, n_confs)) for name in energies})
    graph.node_frames["n1"].update(
        {name: numpy.zeros((n_atoms, n_confs, 3), numpy.float32) for name in gradients}
        | {"q_ref": numpy.zeros((n_atoms, 1), numpy.float32), "h0": numpy.zeros((n_atoms, 114), numpy.float32)}
    )
    write_heterograph(path, graph)


# --- the run ---------------------------------------------------------------------------------------------------------


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conformers", type=int, required=True, help="in all, nearly")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="folder of the archive, which must be new")
    parser.add_argument("--seed", type=int, default=0, help="another seed, another archive; default: %(default)s")
    parser.add_argument("--n-workers", type=int, default=count_available_cpus(), help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.conformers < 1 or arguments.n_workers < 1:
        parser.error("--conformers and --n-workers must be 1 or more")
    return arguments


def make_archive(n_confs: int, output: pathlib.Path, seed: int, n_workers: int) -> list[tuple[Job, int]]:
    """Writes the archive; gives the jobs and how many conformers each wrote.

    Raises:
        ValueError: something is at ``output`` already.
    """
    if output.exists():
        raise ValueError(f"{output}: is there already; remove it or name another --output")
    jobs = plan_archive(n_confs, seed)
    items = [(output, job) for job in jobs]
    written = run_in_processes(_write_item, items, n_workers, [1] * len(items), "writing", "entry")
    done = list(zip(jobs, written, strict=True))
    (output / "MADE-UP.txt").write_text(f"{__doc__}\nconformers {n_confs}, seed {seed}\n")
    return done


def _write_item(item: tuple[pathlib.Path, Job]) -> int:
    return write_job(*item)


def main() -> None:
    arguments = parse_arguments()
    done = make_archive(arguments.conformers, arguments.output, arguments.seed, arguments.n_workers)
    for source in SHARES:
        counts = [n for job, n in done if job.source == source and n]
        print(f"{source}: {len(counts)} entries, {sum(counts)} conformers, at most {max(counts)} in one")
    n_lost = sum(n == 0 for _, n in done)
    if n_lost:
        print(f"{n_lost} molecules are not in it: no geometry was found for them")
    print(f"wrote {arguments.output}; peak memory {format_peak_memory()}")
    print("its energies and gradients are MADE UP (MMFF94 and noise): for tests of scale, not for a force field")


if __name__ == "__main__":
    run_stage(main)
