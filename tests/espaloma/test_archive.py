"""Finding entries: layout, spellings, order, and what is refused."""

import pathlib

import pytest

from common.espaloma.archive import FILES, SOURCES, ArchiveError, find_entries


def add_entry(archive: pathlib.Path, name: str, files=FILES) -> pathlib.Path:
    folder = archive / name
    folder.mkdir(parents=True)
    for file in files:
        (folder / file).write_bytes(b"12345")
    return folder


def find_names(archive: pathlib.Path, source: str) -> list[str]:
    return [location.name for location in find_entries(archive, [source])[source]]


def test_entries_come_in_the_order_of_their_numbers_those_moved_last(tmp_path):
    moved = "duplicated-isomeric-smiles-merge"
    names = [
        "gen2-opt/2",
        "gen2-opt/10",
        "gen2-opt/100",
        f"{moved}/2/gen2/7",
        f"{moved}/10/gen2/3",
        f"{moved}/10/gen2/3-12",
    ]
    for name in reversed(names):
        add_entry(tmp_path, name)
    add_entry(tmp_path, f"{moved}/2/spice-pubchem/1")
    assert find_names(tmp_path, "gen2-opt") == names


@pytest.mark.parametrize("spelling", ["gen2", "gen2-opt"])
def test_both_spellings_of_the_first_source(spelling, tmp_path):
    moved = f"duplicated-isomeric-smiles-merge/1/{spelling}/3"
    for name in (f"{spelling}/1", moved):
        add_entry(tmp_path, name)
    assert find_names(tmp_path, "gen2-opt") == [f"{spelling}/1", moved]


def test_hidden_names_and_stray_files_are_skipped(tmp_path):
    add_entry(tmp_path, "gen2-torsion/1")
    add_entry(tmp_path, "gen2-torsion/._1")
    (tmp_path / "gen2-torsion" / "readme.txt").write_text("x")
    assert find_names(tmp_path, "gen2-torsion") == ["gen2-torsion/1"]


def test_sizes_and_times_are_those_of_the_files(tmp_path):
    folder = add_entry(tmp_path, "gen2-torsion/1")
    [location] = find_entries(tmp_path, ["gen2-torsion"])["gen2-torsion"]
    assert location.n_bytes == (5, 5)
    assert location.modified == tuple((folder / name).stat().st_mtime_ns for name in FILES)
    assert location.problem == ""


def test_half_unpacked_entry_is_reported(tmp_path):
    add_entry(tmp_path, "gen2-torsion/1")
    add_entry(tmp_path, "gen2-torsion/2", ["mol.json"])
    problems = [location.problem for location in find_entries(tmp_path, ["gen2-torsion"])["gen2-torsion"]]
    assert problems == ["", "heterograph.bin missing: unpacked only in part?"]


def test_links_out_of_the_archive_are_refused(tmp_path):
    outside = add_entry(tmp_path, "elsewhere/1")
    archive = tmp_path / "archive"
    inside = add_entry(archive, "gen2-torsion/1")
    (archive / "gen2-torsion" / "2").symlink_to(outside)
    (archive / "gen2-torsion" / "3").symlink_to(inside)
    partly = add_entry(archive, "gen2-torsion/4", ["heterograph.bin"])
    (partly / "mol.json").symlink_to(outside / "mol.json")
    locations = find_entries(archive, ["gen2-torsion"])["gen2-torsion"]
    found = {location.name: location.problem.split(",")[0] for location in locations}
    refused = "leads out of the archive"
    assert found == {
        "gen2-torsion/1": "",
        "gen2-torsion/2": refused,
        "gen2-torsion/3": "",
        "gen2-torsion/4": refused,
    }


def test_a_circle_of_links_spoils_its_entry_alone(tmp_path):
    for i in (1, 2):
        add_entry(tmp_path, f"gen2-torsion/{i}")
    path = tmp_path / "gen2-torsion" / "2" / "mol.json"
    path.unlink()
    path.symlink_to("mol.json")
    problems = [location.problem for location in find_entries(tmp_path, ["gen2-torsion"])["gen2-torsion"]]
    assert problems == ["", "mol.json missing: unpacked only in part?"]


def test_source_that_is_a_link_out_of_the_archive(tmp_path):
    add_entry(tmp_path, "elsewhere/1")
    archive = tmp_path / "archive"
    archive.mkdir()
    (archive / "gen2-torsion").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveError, match="leads out of the archive"):
        find_entries(archive, ["gen2-torsion"])


def test_the_archive_itself_may_be_a_link(tmp_path):
    add_entry(tmp_path, "elsewhere/gen2-torsion/1")
    (tmp_path / "archive").symlink_to(tmp_path / "elsewhere")
    assert find_names(tmp_path / "archive", "gen2-torsion") == ["gen2-torsion/1"]


@pytest.mark.parametrize("make_empty", [False, True])
def test_missing_or_empty_source_says_what_is_there_and_what_to_do(make_empty, tmp_path):
    add_entry(tmp_path, "gen2-torsion/1")
    if make_empty:
        (tmp_path / "spice-pubchem").mkdir()
    with pytest.raises(
        ArchiveError, match=r"no entries of spice-pubchem .* there is: gen2-torsion.*spice-pubchem.tar.gz"
    ):
        find_entries(tmp_path, SOURCES[1:2] + SOURCES[3:])


def test_missing_archive_says_where_to_get_it(tmp_path):
    with pytest.raises(
        ArchiveError, match=r"8150601: no archive here.*zenodo.org/records/8150601.*the-fit.*make example"
    ):
        find_entries(tmp_path / "8150601")
