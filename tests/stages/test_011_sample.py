"""Stage 011 as a user runs it: a molecule by tight binding, somebody else's frames, and what is refused."""

import json

import ase
import ase.calculators.singlepoint
import ase.io
import numpy
import pytest

from common.calculators.registry import make_calculator
from common.data.trajectories import read_trajectories
from common.molecules.mapped_smiles import from_mapped_smiles
from tests.commands import run_here
from tests.stability.systems import COORDS

SCRIPT = "011-sample-reference.py"
WATER = ("--molecule", "O", "--duration", "0.02", "--equilibration", "0", "--frame-interval", "1", "--n-workers", "1")
DISPLACEMENT = 1e-4  # Angstrom; tight binding converges energies to 1e-6 kcal/mol or so


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """Water at constant energy, a frame each step."""
    pytest.importorskip("tblite")
    output = tmp_path_factory.mktemp("reference")
    run_here(SCRIPT, *WATER, "--friction", "0", "--output", output, "--name", "water")
    return output / "water"


def test_forces_are_the_slope_of_the_levels_energies(sampled):
    trajectory = read_trajectories(sampled)[0]
    numbers = numpy.array([atom.GetAtomicNum() for atom in from_mapped_smiles(trajectory.entry.smiles).GetAtoms()])
    calculator = make_calculator("gfn2-xtb")
    coords, frame = trajectory.entry.coords, 20
    for atom, axis in ((0, 0), (1, 1), (2, 2)):
        ends = []
        for sign in (1.0, -1.0):
            displaced = coords[frame].copy()
            displaced[atom, axis] += sign * DISPLACEMENT
            ends.append(calculator(numbers, displaced, 0)[0])
        slope = (ends[0] - ends[1]) / (2.0 * DISPLACEMENT)
        assert -trajectory.entry.forces[frame, atom, axis] == pytest.approx(slope, abs=1e-3)


def test_velocities_are_the_slope_of_the_positions(sampled):
    """At constant energy the integrator is velocity Verlet, whose velocities are central differences exactly."""
    trajectory = read_trajectories(sampled)[0]
    coords, step = trajectory.entry.coords, trajectory.frame_interval
    slopes = (coords[2:] - coords[:-2]) / (2.0 * step)
    assert numpy.allclose(trajectory.velocities[1:-1], slopes, rtol=0.0, atol=1e-10)


def test_it_writes_two_runs_and_their_smiles(sampled):
    trajectories = read_trajectories(sampled)
    assert len(trajectories) == 2
    assert trajectories[0].n_frames == 40
    assert not numpy.allclose(trajectories[0].entry.coords, trajectories[1].entry.coords)
    assert sampled.with_name("water.smi").read_text().strip() == trajectories[0].entry.smiles
    assert not [path for path in sampled.parent.iterdir() if path.name.endswith(".runs")]


def write_xyz(path, n_frames, **changes):
    random = numpy.random.default_rng(0)
    frames = []
    for _ in range(n_frames):
        atoms = ase.Atoms("CCOHHHHHH", COORDS.numpy() + random.normal(0.0, 0.01, (9, 3)), **changes)
        atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(atoms, energy=1.0, forces=numpy.zeros((9, 3)))
        frames.append(atoms)
    ase.io.write(path, frames, format="extxyz")
    return path


def test_frames_of_a_file_are_taken_as_they_follow_or_drawn(tmp_path):
    path = write_xyz(tmp_path / "frames.xyz", 30)
    all_frames = numpy.array([atoms.positions for atoms in ase.io.read(path, ":")])
    options = ("--import", path, "--size", "10", "--output", tmp_path)
    run_here(SCRIPT, *options, "--contiguous", "--imported-interval", "2", "--name", "first")
    first = read_trajectories(tmp_path / "first")[0]
    assert numpy.allclose(first.entry.coords, all_frames[:10], atol=1e-7)
    assert first.frame_interval == 2.0
    run_here(SCRIPT, *options, "--name", "drawn")
    drawn = read_trajectories(tmp_path / "drawn")[0]
    assert drawn.frame_interval is None
    places = [int(abs(all_frames - frame).max((1, 2)).argmin()) for frame in drawn.entry.coords]
    assert places == sorted(set(places)) != list(range(10))


def test_more_frames_than_there_are_is_refused(tmp_path):
    path = write_xyz(tmp_path / "frames.xyz", 3)
    with pytest.raises(ValueError, match="holds 3 frames, --size asks for 10"):
        run_here(SCRIPT, "--import", path, "--size", "10", "--output", tmp_path)


def test_an_oblique_box_is_refused_a_rectangular_one_kept(tmp_path):
    oblique = [[20.0, 0.0, 0.0], [5.0, 20.0, 0.0], [0.0, 0.0, 20.0]]
    path = write_xyz(tmp_path / "oblique.xyz", 3, cell=oblique, pbc=True)
    with pytest.raises(ValueError, match=r"oblique.xyz: the box is oblique"):
        run_here(SCRIPT, "--import", path, "--output", tmp_path / "out")
    assert not (tmp_path / "out" / "oblique").exists()
    path = write_xyz(tmp_path / "rectangular.xyz", 3, cell=[20.0, 20.0, 30.0], pbc=True)
    run_here(SCRIPT, "--import", path, "--output", tmp_path / "out")
    assert read_trajectories(tmp_path / "out" / "rectangular")[0].cell.tolist() == [20.0, 20.0, 30.0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "no --molecule is given"),
        (("--molecule", "nowhere.xyz"), "nowhere.xyz: no such file"),
        (("--molecule", "CCO", "--level", "gfn9"), "gfn9"),
        (("--molecule", "CCO", "--name", "a/b"), "letters, digits"),
        (("--molecule", "C(", "--level", "gfn2-xtb"), r"C\("),
    ],
)
def test_what_cannot_be_sampled_is_named(tmp_path, options, words):
    with pytest.raises((ValueError, OSError), match=words):
        run_here(SCRIPT, *options, "--output", tmp_path)


def test_the_record_says_how_it_was_made(sampled):
    provenance = json.loads((sampled / "provenance.json").read_text())
    assert provenance["settings"]["friction"] == 0.0
    assert provenance["counts"] == {"runs": 2, "frames": 80}
