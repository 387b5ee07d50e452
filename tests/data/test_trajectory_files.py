"""Trajectories of others: made-up files in their layouts, and files that are none."""

import ase
import ase.calculators.singlepoint
import ase.io
import numpy
import pytest

from common.data.trajectory_files import read_trajectory
from common.units import EV_TO_KCAL_PER_MOL

WATER = numpy.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
SMILES = "[O:1]([H:2])[H:3]"


@pytest.fixture
def arrays():
    random = numpy.random.default_rng(0)
    coords = WATER + 0.02 * random.normal(size=(4, 3, 3))
    return coords, random.normal(-47_000.0, 1.0, 4), random.normal(size=(4, 3, 3))


def test_md17_is_read(tmp_path, arrays):
    r, e, f = arrays
    numpy.savez(tmp_path / "water.npz", z=numpy.array([8, 1, 1], dtype=numpy.uint8), R=r, E=e[:, None], F=f)
    trajectory = read_trajectory(tmp_path / "water.npz")
    assert trajectory.entry.smiles.count("H") == 2
    numpy.testing.assert_array_equal(trajectory.entry.coords, r)
    numpy.testing.assert_allclose(trajectory.entry.energy + trajectory.entry.energy_offset, e, rtol=1e-12)
    numpy.testing.assert_array_equal(trajectory.entry.forces, f)
    assert trajectory.frame_interval is None


def test_revised_md17_is_read(tmp_path, arrays):
    r, e, f = arrays
    numpy.savez(tmp_path / "water.npz", nuclear_charges=numpy.array([8, 1, 1]), coords=r, energies=e, forces=f)
    assert read_trajectory(tmp_path / "water.npz", SMILES).n_frames == 4


def write_box(path, arrays, **extras):
    r, e, f = arrays
    coords = numpy.concatenate((r, r + numpy.array([0.0, 0.0, 3.0])), axis=1)
    contents = {
        "atom_types": numpy.array([8, 1, 1, 8, 1, 1]),
        "wrapped_coords": coords % 9.0,
        "unwrapped_coords": coords,
        "energy": e,
        "forces": numpy.concatenate((f, f), axis=1),
        "lengths": numpy.full(3, 9.0),
        **extras,
    }
    numpy.save(path, contents, allow_pickle=True)


def test_the_water_of_forces_are_not_enough_is_read(tmp_path, arrays):
    write_box(tmp_path / "water.npy", arrays)
    trajectory = read_trajectory(tmp_path / "water.npy")
    numpy.testing.assert_array_equal(trajectory.cell, [9.0, 9.0, 9.0])
    assert trajectory.entry.smiles.count("O") == 2
    numpy.testing.assert_array_equal(trajectory.entry.coords[:, :3], arrays[0])


class _Evil:
    def __reduce__(self):
        return print, ("owned",)


def test_a_pickle_that_asks_for_more_is_refused(tmp_path, arrays, capsys):
    write_box(tmp_path / "water.npy", arrays, evil=_Evil())
    with pytest.raises(ValueError, match=r"water\.npy: it asks for builtins\.print"):
        read_trajectory(tmp_path / "water.npy")
    assert "owned" not in capsys.readouterr().out


def test_extended_xyz_is_converted(tmp_path, arrays):
    r, e, f = arrays
    frames = []
    for coords, energy, forces in zip(r, e, f, strict=True):
        atoms = ase.Atoms([8, 1, 1], coords)
        atoms.set_velocities(forces)
        atoms.calc = ase.calculators.singlepoint.SinglePointCalculator(atoms, energy=energy, forces=forces)
        frames.append(atoms)
    ase.io.write(tmp_path / "water.xyz", frames, format="extxyz")
    trajectory = read_trajectory(tmp_path / "water.xyz")
    total = trajectory.entry.energy + trajectory.entry.energy_offset
    numpy.testing.assert_allclose(total, e * EV_TO_KCAL_PER_MOL, rtol=1e-9)
    numpy.testing.assert_allclose(trajectory.entry.forces, f * EV_TO_KCAL_PER_MOL, atol=1e-6)
    femtosecond = 1.0 / ase.units.fs  # ASE's unit of time in fs
    numpy.testing.assert_allclose(trajectory.velocities, f / femtosecond, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path, r, e, f: numpy.savez(path, z=[8, 1, 1], R=r[:, :2], E=e, F=f), "shape"),
        (lambda path, r, e, f: numpy.savez(path, z=[8, 1, 1], R=r, E=e), "'forces'|not a file|forces"),
        (lambda path, r, e, f: path.write_bytes(b"no archive"), "water.npz"),
        (lambda path, r, e, f: numpy.savez(path, z=[8, 1, 1], R=r * numpy.nan, E=e, F=f), "finite"),
    ],
)
def test_damaged_files_are_named(tmp_path, arrays, make, words):
    path = tmp_path / "water.npz"
    make(path, *arrays)
    with pytest.raises(ValueError, match=words):
        read_trajectory(path)


def test_a_smiles_of_another_molecule_is_refused(tmp_path, arrays):
    r, e, f = arrays
    numpy.savez(tmp_path / "water.npz", z=[8, 1, 1], R=r, E=e, F=f)
    with pytest.raises(ValueError, match="the SMILES has the atoms"):
        read_trajectory(tmp_path / "water.npz", "[H:1][O:2][H:3]")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        read_trajectory(tmp_path / "none.npz")
