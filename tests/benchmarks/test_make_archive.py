"""The made-up archive: true to the real one's form, and reproducible."""

import itertools
import pathlib

import numpy
import pytest
from rdkit import Chem

from benchmarks import make_archive as module
from benchmarks.make_archive import SHARES, compute_energies, iterate_molecules, make_archive, plan_archive
from common.espaloma.archive import find_entries
from common.espaloma.conversion import read_location
from common.espaloma.entry import read_entry
from common.molecules.mapped_smiles import compute_connectivity_key, from_smiles
from common.units import BOHR_TO_ANGSTROM

N_CONFS = 700
SHARE_TOLERANCE = 0.05  # of all conformers: an archive of 30,000 has few long optimisations
SLOPE_TOLERANCE = 1e-4  # [hartree/bohr] of central differences with a step of 1e-3 Angstrom along slopes of about 0.5


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> pathlib.Path:
    output = tmp_path_factory.mktemp("made-up") / "8150601"
    make_archive(N_CONFS, output, seed=1, n_workers=1)
    return output


def test_gradient_is_the_slope_of_the_energy(monkeypatch):
    monkeypatch.setattr(module, "ENERGY_NOISE", 0.0)
    monkeypatch.setattr(module, "GRADIENT_NOISE", 0.0)
    mol = from_smiles("CC(=O)Nc1ccccc1")
    job = module.Job("x", "spice-pubchem", "", 3, 1)
    random = numpy.random.default_rng(0)
    coords = module.displace(module.embed(mol, job), job, random)
    direction = random.standard_normal(coords.shape)
    step = 1e-3 * direction
    energies = [compute_energies(mol, coords + sign * step, random)[0] for sign in (1.0, -1.0)]
    slope = (energies[0] - energies[1]) / (2e-3 / BOHR_TO_ANGSTROM)
    gradient = compute_energies(mol, coords, random)[1]
    numpy.testing.assert_allclose((gradient * direction).sum((1, 2)), slope, rtol=0.0, atol=SLOPE_TOLERANCE)


def test_every_entry_can_be_read(archive):
    entries = find_entries(archive)
    n_confs = 0
    for locations in entries.values():
        assert len(locations) >= 2
        n_confs += sum(read_location(location, None).entry.n_confs for location in locations)
    assert N_CONFS <= n_confs < 1.2 * N_CONFS


def test_it_says_that_its_figures_are_made_up(archive):
    assert "MADE UP" in (archive / "MADE-UP.txt").read_text()


def test_a_molecule_of_two_sources_has_its_atoms_in_another_order(archive):
    smiles = {path.parent.name: read_entry(path.parent / "0").smiles for path in archive.glob("duplicated-*/0/*/0")}
    first, second = smiles["gen2-torsion"], smiles["spice-pubchem"]
    assert first != second
    assert compute_connectivity_key(first) == compute_connectivity_key(second)


def test_the_same_seed_gives_the_same_archive(archive, tmp_path):
    make_archive(N_CONFS, tmp_path / "again", seed=1, n_workers=1)
    for path in archive.rglob("heterograph.bin"):
        assert (tmp_path / "again" / path.relative_to(archive)).read_bytes() == path.read_bytes()
    assert plan_archive(N_CONFS, seed=2) != plan_archive(N_CONFS, seed=1)


def test_an_archive_that_is_there_is_not_overwritten(archive):
    with pytest.raises(ValueError, match="is there already"):
        make_archive(N_CONFS, archive, seed=1, n_workers=1)


def test_the_plan_has_the_form_of_the_real_archive():
    jobs = plan_archive(30_000, seed=0)
    counts = {source: [job.n_confs for job in jobs if job.source == source] for source in SHARES}
    total = sum(map(sum, counts.values()))
    for source, share in SHARES.items():
        assert sum(counts[source]) / total == pytest.approx(share, abs=SHARE_TOLERANCE)
    assert max(counts["gen2-opt"]) == 3000
    assert numpy.mean(counts["spice-pubchem"]) == pytest.approx(43.0, rel=0.05)
    assert len({job.folder for job in jobs}) == len(jobs)


def test_molecules_are_different_and_many():
    smiles = list(itertools.islice(iterate_molecules(), 2500))
    assert len({Chem.CanonSmiles(text) for text in smiles}) == 2500
