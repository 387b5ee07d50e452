"""QCArchive records: single points, optimisations, torsion drives, as JSON and JSON lines."""

import gzip
import json

import pytest

from common.own_data.records import InputError
from tests.own_data.checks import check_same, read_all
from tests.own_data.samples import (
    make_optimization,
    make_record,
    make_torsion_drive,
    read_samples,
    write_json,
)

SAMPLES = read_samples()
ETHANOL, METHANOL = SAMPLES["ethanol"], SAMPLES["methanol-opt-path"]


def make_records() -> list[dict]:
    return [make_record(entry, i) for entry in (ETHANOL, METHANOL) for i in range(entry.n_confs)]


def test_single_points_arrive_with_the_same_numbers(tmp_path):
    write_json(tmp_path / "records.json", make_records())
    found = read_all(tmp_path / "records.json")
    assert len(found) == 2
    for entry, expected in zip(found, (ETHANOL, METHANOL), strict=True):
        check_same(entry, expected)


def test_one_record_a_line_and_compressed(tmp_path):
    text = "\n".join(json.dumps(record) for record in make_records())
    with gzip.open(tmp_path / "records.jsonl.gz", "wt") as file:
        file.write(text)
    check_same(read_all(tmp_path / "records.jsonl.gz")[1], METHANOL)


def test_the_trajectory_of_an_optimisation_takes_its_smiles_from_the_initial_molecule(tmp_path):
    write_json(tmp_path / "records.json", {"data": [make_optimization(METHANOL)]})
    [found] = read_all(tmp_path / "records.json")
    check_same(found, METHANOL)
    assert found.entry == "7"


def test_a_torsion_drive_gives_each_calculation_once(tmp_path):
    write_json(tmp_path / "records.json", make_torsion_drive(ETHANOL))
    [found] = read_all(tmp_path / "records.json")
    check_same(found, ETHANOL)


def test_gradients_may_stand_in_properties_as_qcportal_has_them(tmp_path):
    records = make_records()[: ETHANOL.n_confs]
    for record in records:
        record["specification"] = {"driver": "energy", "program": "psi4"}
        record["properties"]["current gradient"] = record.pop("return_result")
        record["properties"]["current energy"] = record["properties"].pop("return_energy")
        record["status"] = "RecordStatusEnum.complete"
        del record["driver"]
    write_json(tmp_path / "records.json", records)
    check_same(read_all(tmp_path / "records.json")[0], ETHANOL)


def test_records_that_failed_are_passed_over(tmp_path):
    records = make_records()[: ETHANOL.n_confs]
    write_json(tmp_path / "records.json", [*records, {**make_record(METHANOL, 0), "success": False}])
    [found] = read_all(tmp_path / "records.json")
    check_same(found, ETHANOL)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, ", "no JSON"),
        ('{"id": 3, "status": "error"}', "no finished calculation with its molecule"),
        (
            '{"id": 3, "molecule": {"symbols": ["H"], "geometry": [0, 0]}, "properties": {"return_energy": -0.5}}',
            "record 3: 1 symbols, 2 coordinates",
        ),
    ],
)
def test_damage_is_named(tmp_path, text, message):
    (tmp_path / "bad.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_all(tmp_path / "bad.json")
