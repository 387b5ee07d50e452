"""Formats are recognised by their suffixes."""

import pathlib

import pytest

from common.own_data.formats import FORMATS, find_all_blocks, recognize, stamp_files
from common.own_data.records import InputError, Reading
from common.own_data.units import parse_units
from tests.own_data.samples import read_samples, write_descent, write_extended_xyz, write_table

READING = Reading(parse_units("eV", "angstrom"))


@pytest.mark.parametrize(("name", "suffix"), [(name, one) for name, kind in FORMATS.items() for one in kind.suffixes])
def test_a_suffix_names_a_format(tmp_path, name, suffix):
    path = tmp_path / f"Mine.2{suffix.upper()}"
    path.touch()
    assert recognize(path) == name


def test_folders_and_what_is_unknown(tmp_path):
    write_descent(tmp_path / "mine", read_samples())
    assert recognize(tmp_path / "mine") == "descent"
    with pytest.raises(InputError, match="a folder, and no data set of descent"):
        recognize(tmp_path)
    (tmp_path / "a.doc").touch()
    with pytest.raises(InputError, match=r"a\.doc: of no format that is known by its suffix; there are \.xyz"):
        recognize(tmp_path / "a.doc")
    with pytest.raises(FileNotFoundError, match="no such file"):
        recognize(pathlib.Path("nothing.xyz"))


def test_all_files_count_those_of_a_table_as_well(tmp_path):
    samples = read_samples()
    write_table(tmp_path / "mine.csv", samples)
    blocks = find_all_blocks("smiles-table", [tmp_path / "mine.csv"], READING)
    n_confs = sum(entry.n_confs for entry in samples.values())
    assert len(stamp_files(blocks)) == 1 + n_confs


def test_an_empty_file_and_a_missing_one_are_named(tmp_path):
    (tmp_path / "empty.xyz").touch()
    write_extended_xyz(tmp_path / "mine.xyz", read_samples())
    with pytest.raises(InputError, match=r"empty\.xyz: no conformers"):
        find_all_blocks("extended-xyz", [tmp_path / "mine.xyz", tmp_path / "empty.xyz"], READING)
    with pytest.raises(FileNotFoundError, match=r"other\.xyz: no such file"):
        find_all_blocks("extended-xyz", [tmp_path / "mine.xyz", tmp_path / "other.xyz"], READING)
