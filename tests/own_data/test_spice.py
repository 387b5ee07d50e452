"""HDF5 files in SPICE's layout."""

import h5py
import pytest

from common.own_data import spice
from common.own_data.records import InputError, Reading
from common.own_data.units import parse_units
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import read_samples, write_spice

SAMPLES = read_samples()


@pytest.mark.parametrize("units", [True, False])
def test_the_same_numbers_arrive(tmp_path, units):
    write_spice(tmp_path / "mine.hdf5", SAMPLES, units)
    found = read_all(tmp_path / "mine.hdf5")
    assert [entry.entry for entry in found] == list(SAMPLES)
    for entry in found:
        check_same(entry, SAMPLES[entry.entry])


def test_units_that_the_file_states_count(tmp_path):
    write_spice(tmp_path / "mine.hdf5", SAMPLES)
    with h5py.File(tmp_path / "mine.hdf5", "r+") as file:
        data = file["ethanol"]["conformations"]
        data[:] = data[:] * 0.529177210903
        data.attrs["units"] = "angstrom"
        file["ethanol"]["dft_total_energy"].attrs["units"] = "parsec"
    with pytest.raises(InputError, match="dft_total_energy: 'parsec': no unit of energy"):
        read_all(tmp_path / "mine.hdf5")
    with h5py.File(tmp_path / "mine.hdf5", "r+") as file:
        file["ethanol"]["dft_total_energy"].attrs["units"] = "hartree"
    check_same(read_all(tmp_path / "mine.hdf5")[0], SAMPLES["ethanol"])


def test_another_layout_and_another_file_are_named(tmp_path):
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file.create_group("water")["positions"] = [1.0]
    with pytest.raises(InputError, match="the group 'water' has no atomic_numbers; is this a file in SPICE's layout"):
        read_all(tmp_path / "other.hdf5")
    (tmp_path / "text.hdf5").write_text("text")
    with pytest.raises(InputError, match="no HDF5 file"):
        read_all(tmp_path / "text.hdf5")


def test_files_kept_open_are_closed_at_the_end_and_one_at_a_time(tmp_path):
    reading = Reading(parse_units("hartree", "bohr"))
    for name in ("one", "two"):
        write_spice(tmp_path / f"{name}.hdf5", SAMPLES)
    blocks = [block for name in ("one", "two") for block in spice.find_blocks(tmp_path / f"{name}.hdf5", reading)]
    alone = [spice.read_block(block, reading) for block in blocks]
    with spice.keep_open():
        together = [spice.read_block(block, reading) for block in blocks]
    for first, second in zip(alone, together, strict=True):
        assert (first.coords == second.coords).all()
        assert (first.forces == second.forces).all()
    for name in ("one", "two"):
        h5py.File(tmp_path / f"{name}.hdf5", "r+").close()  # refused where somebody reads
