"""The .pt file: what is written comes back, without pickled classes, and nothing is stored twice."""

import dataclasses
import gc
import hashlib

import pytest
import torch

from common.forcefields.parameter_file import load_parameters, save_parameters
from tests.helpers import raises_with_advice


def assert_equal(first, second) -> None:
    """Records, dicts and tuples of tensors and plain values, to the last bit."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    elif dataclasses.is_dataclass(first):
        for field in dataclasses.fields(first):
            assert_equal(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for name in first:
            assert_equal(first[name], second[name])
    elif isinstance(first, tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    else:
        assert first == second


def test_parameters_come_back_to_the_last_bit(parity_molecules, tmp_path):
    save_parameters(tmp_path / "x.pt", parity_molecules)
    assert_equal(load_parameters(tmp_path / "x.pt"), parity_molecules)
    assert gc.isenabled()


def test_the_file_has_the_documented_layout_and_no_classes(parity_molecules, tmp_path):
    save_parameters(tmp_path / "x.pt", parity_molecules)
    plain = torch.load(tmp_path / "x.pt", weights_only=True)
    assert set(plain) == {"format", "force_field", "topologies", "failures", "provenance"}
    topology = next(iter(plain["topologies"].values()))
    assert set(topology["parameters"]["Angles"]) == {"particle_idxs", "parameter_idxs"}
    assert set(topology["parameters"]["vdW"]) == {"parameter_idxs", "exclusions", "exclusion_scale_idxs"}


def test_exclusions_of_both_nonbonded_sections_are_stored_once(parity_molecules, tmp_path):
    save_parameters(tmp_path / "shared.pt", parity_molecules)
    apart = {smiles: copy_electrostatics(topology) for smiles, topology in parity_molecules.topologies.items()}
    save_parameters(tmp_path / "apart.pt", dataclasses.replace(parity_molecules, topologies=apart))
    exclusions = [topology.parameters["vdW"] for topology in parity_molecules.topologies.values()]
    saved = 8 * sum(map_.exclusions.numel() + map_.exclusion_scale_idxs.numel() for map_ in exclusions)
    assert (tmp_path / "shared.pt").stat().st_size <= (tmp_path / "apart.pt").stat().st_size - saved
    for topology in load_parameters(tmp_path / "shared.pt").topologies.values():
        assert topology.parameters["vdW"].exclusions is topology.parameters["Electrostatics"].exclusions


def copy_electrostatics(topology):
    map_ = topology.parameters["Electrostatics"]
    copy = dataclasses.replace(
        map_, exclusions=map_.exclusions.clone(), exclusion_scale_idxs=map_.exclusion_scale_idxs.clone()
    )
    return dataclasses.replace(topology, parameters={**topology.parameters, "Electrostatics": copy})


class Surprise:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a class was unpickled",))


def test_pickled_classes_are_refused(tmp_path):
    torch.save({"format": 1, "force_field": Surprise()}, tmp_path / "x.pt")
    with raises_with_advice(ValueError, r"x\.pt: refused, it holds more than plain tensors.*run 002-parameterize\.py"):
        load_parameters(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda plain: {**plain, "format": 2}, "format 2, expected 1; run 002-parameterize"),
        (lambda plain: [plain], "format 'list'"),
        (lambda plain: {k: v for k, v in plain.items() if k != "topologies"}, "missing or misplaced"),
    ],
)
def test_files_of_other_versions_are_refused(change, message, parity_molecules, tmp_path):
    save_parameters(tmp_path / "x.pt", parity_molecules)
    torch.save(change(torch.load(tmp_path / "x.pt", weights_only=True)), tmp_path / "y.pt")
    with raises_with_advice(ValueError, rf"y\.pt.*{message}"):
        load_parameters(tmp_path / "y.pt")


def test_a_force_field_that_is_another_than_its_hash_says_is_refused(parity_molecules, tmp_path):
    provenance = {"offxml": "<SMIRNOFF/>", "force_field_sha256": hashlib.sha256(b"<SMIRNOFF/>").hexdigest()}
    save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, provenance=provenance))
    assert load_parameters(tmp_path / "x.pt").provenance == provenance
    provenance["offxml"] = "<SMIRNOFF version='0.3'/>"
    save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, provenance=provenance))
    with raises_with_advice(ValueError, r"x\.pt: names a force field of SHA-256 .* holds one of .*002-parameterize"):
        load_parameters(tmp_path / "x.pt")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + bytes(100)])
def test_damaged_files_are_refused(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with raises_with_advice(ValueError, r"x\.pt.*run 002-parameterize"):
        load_parameters(tmp_path / "x.pt")


def test_a_cut_file_is_refused(parity_molecules, tmp_path):
    save_parameters(tmp_path / "x.pt", parity_molecules)
    data = (tmp_path / "x.pt").read_bytes()
    (tmp_path / "x.pt").write_bytes(data[: len(data) // 2])
    with raises_with_advice(ValueError, r"x\.pt.*run 002-parameterize"):
        load_parameters(tmp_path / "x.pt")


def test_a_missing_file_is_named(tmp_path):
    with raises_with_advice(FileNotFoundError, r"x\.pt: no such file; run 002-parameterize"):
        load_parameters(tmp_path / "x.pt")
