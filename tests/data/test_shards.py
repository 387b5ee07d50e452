"""Shards: resumption, publication."""

import os
import pathlib
import signal
import subprocess
import sys

import numpy
import pyarrow
import pytest

from common.data.dataset import Entry, ShardWriter, open_dataset, read_entries, read_provenance
from common.data.shards import check_output, drop_rows, make_shards, publish_datasets, reserve_output, sum_counts
from common.files.fingerprints import compute_fingerprint
from common.files.locks import LockedError
from tests.helpers import ROOT

REPOSITORY = ROOT


def make_entry(name: str) -> Entry:
    return Entry(name, numpy.zeros((1, 2, 3)), numpy.zeros(1), numpy.ones((1, 2, 3)), entry=name)


def write_names(names, path):
    """A shard of one entry for each name; "-" is left out, "!" kills the process and "?" is an error."""
    with ShardWriter(path) as shard:
        for name in names:
            if name == "!":
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "?":
                raise ValueError("what is this?")
            if name != "-":
                shard.write(make_entry(name))
    return {"n_seen": len(names), "names": list(names)}


def read_names(folder) -> list[str]:
    return [entry.smiles for entry in read_entries(open_dataset(folder))]


def make(output, slices, source="a", settings=0, n_workers=1):
    return make_shards(output, source, slices, write_names, settings, n_workers, "test")


@pytest.fixture
def output(tmp_path):
    return tmp_path / "data"


def test_published_rows_stand_in_order(output):
    shards = make(output, [["x", "-"], ["-"], ["y", "z"]])
    publish_datasets(output, [(shards, {"stage": "test"})], {"list.json": "[]"})
    assert read_names(output / "a") == ["x", "y", "z"]
    assert read_provenance(output / "a")["stage"] == "test"
    assert sorted(path.name for path in output.iterdir()) == ["a", "list.json"]
    assert [path.name for path in output.parent.iterdir()] == ["data"]
    assert sum_counts({"n": result["n_seen"]} for result in shards.results) == {"n": 5}


def test_publishing_replaces_the_whole_folder(output):
    publish_datasets(output, [(make(output, [["x"]], source=source), {}) for source in ("a", "b")])
    publish_datasets(output, [(make(output, [["y"]], source="a"), {})])
    assert [path.name for path in output.iterdir()] == ["a"]
    assert read_names(output / "a") == ["y"]


@pytest.mark.parametrize("is_there", [False, True])
def test_an_output_that_is_a_link_stays_one(output, is_there):
    elsewhere = output.with_name("elsewhere")
    if is_there:
        publish_datasets(elsewhere, [(make(elsewhere, [["earlier"]]), {})])
    output.symlink_to(elsewhere)
    check_output(output)
    for name in ("x", "y"):
        publish_datasets(output, [(make(output, [[name]]), {})])
        assert read_names(output / "a") == [name]
    assert output.is_symlink()
    assert sorted(path.name for path in output.parent.iterdir()) == ["data", "elsewhere"]


def test_rows_may_be_dropped_before_publishing(output):
    shards = make(output, [["u", "v"], ["w"], ["x", "y", "z"]])
    publish_datasets(output, [(drop_rows(shards, {0: [1], 1: [0], 2: []}), {})])
    assert read_names(output / "a") == ["u", "x", "y", "z"]


def test_rows_are_dropped_by_their_place_in_the_shard_not_in_the_batch(output, monkeypatch):
    monkeypatch.setattr("common.data.dataset.BATCH_BYTES", 1)  # every row its own batch
    shards = make(output, [["u", "v", "w", "x"]])
    publish_datasets(output, [(drop_rows(shards, {0: [0, 2]}), {})])
    assert read_names(output / "a") == ["v", "x"]


@pytest.mark.parametrize("n_workers", [1, 2])
def test_finished_shards_survive_an_error(output, capsys, n_workers):
    with pytest.raises(ValueError, match="what is this"):
        make(output, [["x"], ["y"], ["?"], ["z"]], n_workers=n_workers)
    assert not output.exists()
    with pytest.raises(ValueError, match="what is this"):
        make(output, [["x"], ["y"], ["?"], ["z"]], n_workers=n_workers)
    assert "were finished by an earlier run" in capsys.readouterr().out


def test_a_killed_run_leaves_the_earlier_artifact_and_its_finished_shards(output):
    publish_datasets(output, [(make(output, [["earlier"]]), {})])
    code = "import sys; from tests.data.test_shards import make; make(sys.argv[1], [['x'], ['y'], ['z', '!']])"
    killed = subprocess.run([sys.executable, "-c", code, str(output)], cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert read_names(output / "a") == ["earlier"]
    [folder] = output.with_name(".data.shards").iterdir()
    assert sorted(path.name for path in folder.glob("[!.]*.arrow")) == ["00000.arrow", "00001.arrow"]


def test_shards_are_reused_only_for_the_same_slices_and_settings(output):
    slices = [["x"], ["y"]]
    assert make(output, slices).made == (True, True)
    again = make(output, slices)
    assert again.made == (False, False)
    assert [result["names"] for result in again.results] == slices
    assert make(output, slices, settings=1).made == (True, True)
    assert make(output, [["x"], ["z"]]).made == (True, True)
    assert make(output, slices).made == (True, True)  # the others have been removed as stale


def test_a_shard_of_the_wrong_size_is_made_again(output):
    shards = make(output, [["x"], ["y"]])
    shards.paths[1].write_bytes(shards.paths[1].read_bytes()[:-8])
    assert make(output, [["x"], ["y"]]).made == (False, True)


def test_a_source_without_rows_is_left_out(output):
    empty, full = make(output, [["-"]], source="a"), make(output, [["x"]], source="b")
    publish_datasets(output, [(empty, {}), (full, {})])
    assert [path.name for path in output.iterdir()] == ["b"]


def test_no_rows_at_all_are_an_error(output):
    shards = make(output, [["-"]])
    with pytest.raises(ValueError, match="nothing is left of any source"):
        publish_datasets(output, [(shards, {})])
    assert not output.exists()


@pytest.mark.parametrize("has_links", [True, False])
def test_a_run_killed_while_it_publishes_keeps_its_shards(output, has_links, monkeypatch):
    """With hard links, that is: without them the shards that were moved are made again."""
    if not has_links:
        monkeypatch.setattr("os.link", refuse)
    slices = [["x"], ["y"]]
    shards = make(output, slices)
    monkeypatch.setattr("common.data.shards.replace_folder", refuse)
    with pytest.raises(OSError, match="refused"):
        publish_datasets(output, [(shards, {})])
    monkeypatch.undo()
    again = make(output, slices)
    assert again.made == (not has_links, not has_links)
    publish_datasets(output, [(again, {})])
    assert read_names(output / "a") == ["x", "y"]
    assert [path.name for path in output.parent.iterdir()] == ["data"]


def refuse(*_):
    raise OSError("refused")


def test_what_no_stage_wrote_is_not_replaced(output):
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"thesis\.tex"):
        publish_datasets(output, [(make(output, [["x"]]), {})])
    assert (output / "thesis.tex").read_text() == "years of work"
    with pytest.raises(ValueError, match="is a file"):
        check_output(output / "thesis.tex")


def test_fingerprints_tell_values_apart():
    assert compute_fingerprint({"a": 1, "b": pathlib.Path("x")}) == compute_fingerprint({"b": "x", "a": 1})
    assert compute_fingerprint([1, 2]) != compute_fingerprint([2, 1])


def test_a_full_disk_leaves_no_shard(tmp_path, monkeypatch):
    """The last batch is written when the block ends: an error there must not leave half a shard under its name."""

    def refuse(*_):
        raise OSError("no space left")

    class FullStream:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        write_batch = refuse

    def open_stream(path, _):
        pathlib.Path(path).write_bytes(b"half")
        return FullStream()

    monkeypatch.setattr(pyarrow.ipc, "new_stream", open_stream)
    with pytest.raises(OSError, match="no space"), ShardWriter(tmp_path / "shard.arrow") as shard:
        shard.write(make_entry("x"))
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_another_makes_is_refused(output):
    with reserve_output(output):
        publish_datasets(output, [(make(output, [["x"]]), {})])
        message = rf"{output}: process {os.getpid()} on .* is at work on it; wait"
        with pytest.raises(LockedError, match=message), reserve_output(output):
            pass
    with reserve_output(output):
        pass
    assert [path.name for path in output.parent.iterdir()] == ["data"]


def test_links_to_one_output_are_one_output(output):
    output.with_name("link").symlink_to(output)
    with reserve_output(output), pytest.raises(LockedError), reserve_output(output.with_name("link")):
        pass


def test_what_is_reserved_is_checked(output):
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match=r"thesis\.tex"), reserve_output(output):
        pass
