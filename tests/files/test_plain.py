"""JSON and CSV: read back as they were, whole or not at all."""

import csv
import json
import pathlib

import pytest

from common.files.plain import write_json, write_table


def read_table(path: pathlib.Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_json_comes_back_and_other_objects_as_text(tmp_path):
    write_json(tmp_path / "x.json", {"a": [1, 2.5, None], "path": pathlib.Path("data"), "Å": "é"})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [1, 2.5, None], "path": "data", "Å": "é"}


def test_tables_come_back_and_none_is_an_empty_cell(tmp_path):
    records = [{"name": 'a, "b"\nc', "value": 0.1}, {"name": "[#6:1]", "value": None}]
    write_table(tmp_path / "x.csv", records)
    assert read_table(tmp_path / "x.csv") == [
        {"name": 'a, "b"\nc', "value": "0.1"},
        {"name": "[#6:1]", "value": ""},
    ]


def test_a_table_without_records_is_an_empty_file(tmp_path):
    write_table(tmp_path / "x.csv", [])
    assert (tmp_path / "x.csv").read_text() == ""


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    write_json(tmp_path / "x.json", [1])
    write_table(tmp_path / "x.csv", [{"a": 1}])
    circle: list = []
    circle.append(circle)
    with pytest.raises(ValueError, match="Circular"):
        write_json(tmp_path / "x.json", circle)
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        write_table(tmp_path / "x.csv", [{"a": 1}, {"b": 2}])
    assert json.loads((tmp_path / "x.json").read_text()) == [1]
    assert read_table(tmp_path / "x.csv") == [{"a": "1"}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.csv", "x.json"]
