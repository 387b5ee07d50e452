"""HDF5 files in SPICE's layout; h5py is among what the tests need, and optional otherwise."""

import sys

import pytest

from common.own_data.records import InputError
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import read_samples, write_spice

SAMPLES = read_samples()


@pytest.mark.parametrize("units", [True, False])
def test_the_same_numbers_arrive(tmp_path, units):
    pytest.importorskip("h5py")
    write_spice(tmp_path / "mine.hdf5", SAMPLES, units)
    found = read_all(tmp_path / "mine.hdf5")
    assert [entry.entry for entry in found] == list(SAMPLES)
    for entry in found:
        check_same(entry, SAMPLES[entry.entry])


def test_units_that_the_file_states_count(tmp_path):
    h5py = pytest.importorskip("h5py")
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
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file.create_group("water")["positions"] = [1.0]
    with pytest.raises(InputError, match="the group 'water' has no atomic_numbers; is this a file in SPICE's layout"):
        read_all(tmp_path / "other.hdf5")
    (tmp_path / "text.hdf5").write_text("text")
    with pytest.raises(InputError, match="no HDF5 file"):
        read_all(tmp_path / "text.hdf5")


def test_without_h5py_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    (tmp_path / "mine.hdf5").write_bytes(b"")
    with pytest.raises(InputError, match="pip install h5py"):
        read_all(tmp_path / "mine.hdf5")
