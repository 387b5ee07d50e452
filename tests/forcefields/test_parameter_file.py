"""The .pt files: what is written comes back; what was not written so is refused in a line, before memory is taken."""

import collections.abc
import dataclasses
import datetime
import gc
import hashlib
import pathlib
import shutil
import zipfile

import pytest
import torch

from common.files.artifacts import ArtifactError
from common.files.tensor_file import compute_tensors_hash
from common.forcefields.parameter_file import (
    load_parameters,
    load_values,
    read_content_hash,
    save_fitted_force_field,
    save_parameters,
)
from common.forcefields.tensors import ParametersFile, TensorForceField
from tests.helpers import change_parameters, raises_with_advice


def assert_equal(first, second) -> None:
    """Records, dicts and tuples of tensors and plain values, to the last bit."""
    if not isinstance(first, collections.abc.Mapping):
        assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    elif dataclasses.is_dataclass(first):
        for field in dataclasses.fields(first):
            assert_equal(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, collections.abc.Mapping):
        assert list(first) == list(second)
        for name in first:
            assert_equal(first[name], second[name])
    elif isinstance(first, tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    else:
        assert first == second


@pytest.fixture(scope="module")
def saved(parity_molecules, tmp_path_factory) -> pathlib.Path:
    """A parameters file."""
    path = tmp_path_factory.mktemp("saved") / "parity.pt"
    save_parameters(path, dataclasses.replace(parity_molecules, failures={"[H][H]": "no Bonds pattern"}))
    return path


# --- what is written comes back --------------------------------------------------------------------------------------


def test_parameters_come_back_to_the_last_bit(parity_molecules, saved):
    loaded = load_parameters(saved)
    assert loaded.origin == ParametersFile(saved, read_content_hash(saved))
    assert loaded.failures == {"[H][H]": "no Bonds pattern"}
    assert_equal(dataclasses.replace(loaded, origin=None, failures={}), parity_molecules)
    assert gc.isenabled()


def test_no_molecules_come_back_as_none(parity_molecules, tmp_path):
    save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, topologies={}))
    assert load_parameters(tmp_path / "x.pt").topologies == {}


def test_the_file_has_the_documented_layout_and_is_read_by_torch_alone(parity_molecules, saved):
    plain = torch.load(saved, weights_only=True)
    assert set(plain) == {"format", "content_hash", "force_field", "topologies", "failures", "provenance"}
    topologies = plain["topologies"]
    assert set(topologies["parameters"]["Angles"]) == {"n_interactions", "particle_idxs", "parameter_idxs"}
    smiles = list(parity_molecules.topologies)
    assert topologies["smiles"] == smiles
    place = slice(*torch.cat([torch.zeros(1, dtype=torch.int64), topologies["n_atoms"].cumsum(0)])[5:7].tolist())
    expected = parity_molecules.topologies[smiles[5]]
    assert torch.equal(topologies["atomic_nums"][place], expected.atomic_nums)
    assert torch.equal(
        topologies["parameters"]["vdW"]["parameter_idxs"][place], expected.parameters["vdW"].parameter_idxs
    )
    charges = plain["force_field"]["potentials"][-1]
    keys = charges["parameter_keys"]
    rows = topologies["parameters"]["Electrostatics"]["parameter_idxs"][place]
    assert {keys["ids"][i] for i in keys["id_idxs"][rows].tolist()} == {smiles[5]}


def test_text_and_exclusions_that_come_up_again_are_stored_once(saved):
    with zipfile.ZipFile(saved) as archive:
        [name] = [name for name in archive.namelist() if name.endswith("data.pkl")]
        pickled = archive.read(name)
    longest = max(load_parameters(saved).topologies, key=len)
    assert pickled.count(longest.encode()) == 1
    parameters = torch.load(saved, weights_only=True)["topologies"]["parameters"]
    one, other = (parameters[type_]["exclusions"] for type_ in ("vdW", "Electrostatics"))
    assert one.data_ptr() == other.data_ptr()
    for topology in load_parameters(saved).topologies.values():
        one, other = (topology.parameters[type_].exclusions for type_ in ("vdW", "Electrostatics"))
        assert one.data_ptr() == other.data_ptr()


def test_exclusions_that_differ_are_kept_apart(parity_molecules, tmp_path):
    smiles, topology = next(iter(parity_molecules.topologies.items()))
    map_ = topology.parameters["Electrostatics"]
    fewer = dataclasses.replace(
        map_, exclusions=map_.exclusions[1:], exclusion_scale_idxs=map_.exclusion_scale_idxs[1:]
    )
    other = dataclasses.replace(topology, parameters={**topology.parameters, "Electrostatics": fewer})
    molecules = dataclasses.replace(parity_molecules, topologies={**parity_molecules.topologies, smiles: other})
    save_parameters(tmp_path / "x.pt", molecules)
    assert_equal(load_parameters(tmp_path / "x.pt").topologies, molecules.topologies)


def test_equal_pairs_of_different_molecules_are_kept_apart(parity_molecules, tmp_path):
    """The pairs of all molecules are the same, one after the other, and belong to different ones of them."""
    (one, first), (two, second) = list(parity_molecules.topologies.items())[:2]
    pair = torch.tensor([[0, 1]])
    scale = torch.tensor([[0]])

    def change(topology, type_, n):
        map_ = dataclasses.replace(
            topology.parameters[type_], exclusions=pair.repeat(n, 1), exclusion_scale_idxs=scale.repeat(n, 1)
        )
        return dataclasses.replace(topology, parameters={**topology.parameters, type_: map_})

    topologies = {
        one: change(change(first, "vdW", 2), "Electrostatics", 1),
        two: change(change(second, "vdW", 0), "Electrostatics", 1),
    }
    save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, topologies=topologies))
    assert_equal(load_parameters(tmp_path / "x.pt").topologies, topologies)


def test_a_topology_of_another_force_field_is_not_written(parity_molecules, tmp_path):
    fewer = TensorForceField(parity_molecules.force_field.potentials[1:])
    with pytest.raises(ValueError, match="has parameters of "):
        save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, force_field=fewer))
    assert not (tmp_path / "x.pt").exists()


# --- what names the contents -----------------------------------------------------------------------------------------


def test_the_hash_names_what_determines_energies_and_not_when_or_by_whom_it_was_made(parity_molecules, tmp_path):
    def hash_of(**changes):
        save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, **changes))
        return read_content_hash(tmp_path / "x.pt")

    first = hash_of()
    created = {**parity_molecules.provenance, "created": str(datetime.datetime.now()), "versions": {"torch": "3"}}
    assert hash_of(provenance=created) == hash_of(failures={"C": "no"}) == first
    others = {
        hash_of(force_field=change_parameters(parity_molecules.force_field, ("Bonds",), seed=0)),
        hash_of(topologies=dict(list(parity_molecules.topologies.items())[1:])),
        hash_of(topologies=dict(reversed(parity_molecules.topologies.items()))),
        first,
    }
    assert len(others) == 4


# --- a fitted force field --------------------------------------------------------------------------------------------


@pytest.fixture
def fitted(saved, tmp_path) -> pathlib.Path:
    """A fitted force field beside a copy of the parameters file, in a folder like a run's."""
    (tmp_path / "run").mkdir()
    shutil.copy(saved, tmp_path / "parity.pt")
    start = load_parameters(tmp_path / "parity.pt")
    values = change_parameters(start.force_field, ("Bonds", "vdW"), seed=1)
    save_fitted_force_field(tmp_path / "run" / "force-field.pt", values, start, ["fitted by a test"])
    return tmp_path / "run" / "force-field.pt"


def test_a_fitted_force_field_is_small_and_finds_its_molecules(fitted, saved):
    start, loaded = load_parameters(saved), load_parameters(fitted)
    assert fitted.stat().st_size < 0.1 * saved.stat().st_size
    assert_equal(loaded.topologies, start.topologies)
    assert_equal(loaded.force_field, change_parameters(start.force_field, ("Bonds", "vdW"), seed=1))
    assert loaded.provenance == {**start.provenance, "fitted": ["fitted by a test"]}
    assert loaded.origin.path == fitted.parents[1] / "parity.pt"
    assert loaded.origin.content_hash == start.origin.content_hash
    assert read_content_hash(fitted) != read_content_hash(saved)
    assert not any(smiles.encode() in fitted.read_bytes() for smiles in start.topologies if len(smiles) > 30)


def test_it_finds_them_where_both_have_moved_or_where_only_it_has(fitted, saved, tmp_path):
    shutil.copytree(tmp_path / "run", tmp_path / "elsewhere" / "deeper" / "run")
    assert len(load_parameters(tmp_path / "elsewhere" / "deeper" / "run" / "force-field.pt").topologies) == 99
    (tmp_path / "new").mkdir()
    for name in ("run", "parity.pt"):
        (tmp_path / name).rename(tmp_path / "new" / name)
    moved = tmp_path / "new" / "run" / "force-field.pt"
    assert load_parameters(moved).origin.path.samefile(tmp_path / "new" / "parity.pt")
    (tmp_path / "new" / "parity.pt").rename(tmp_path / "renamed.pt")
    with raises_with_advice(
        ArtifactError, r"force-field\.pt: the molecules .*parity\.pt, which is not there.*004.*--par"
    ):
        load_parameters(moved)
    assert len(load_parameters(moved, tmp_path / "renamed.pt").topologies) == 99
    save_parameters(tmp_path / "new" / "parity.pt", dataclasses.replace(load_parameters(saved), topologies={}))
    shutil.copy(saved, tmp_path / "parity.pt")
    assert load_parameters(moved).origin.path.samefile(tmp_path / "parity.pt")  # the contents decide


def test_another_parameters_file_is_refused_by_its_contents(fitted, parity_molecules, tmp_path):
    other = tmp_path / "parity.pt"
    save_parameters(other, dataclasses.replace(parity_molecules, provenance={"created": "later"}))
    assert len(load_parameters(fitted).topologies) == 99
    save_parameters(other, dataclasses.replace(parity_molecules, topologies={}))
    with raises_with_advice(
        ArtifactError,
        r"force-field\.pt was fitted from .* of contents \w{12} .*parity\.pt holds \w{12}; run 004.*--par",
    ):
        load_parameters(fitted)
    with raises_with_advice(ArtifactError, r"force-field\.pt: a fitted force field, which has no molecules"):
        load_parameters(fitted, fitted)


def test_values_come_from_a_file_of_the_same_parameters_alone(saved, parity_molecules, tmp_path):
    molecules = load_parameters(saved)
    values = change_parameters(molecules.force_field, ("Angles",), seed=2)
    save_parameters(tmp_path / "same.pt", dataclasses.replace(molecules, force_field=values, topologies={}))
    assert_equal(load_values(tmp_path / "same.pt", molecules).force_field, values)
    fewer = TensorForceField(tuple(p for p in values.potentials if p.type != "Bonds"))
    save_parameters(tmp_path / "fewer.pt", dataclasses.replace(molecules, force_field=fewer, topologies={}))
    with raises_with_advice(ArtifactError, r"fewer\.pt holds other parameters than .*parity\.pt \(in Bonds\)"):
        load_values(tmp_path / "fewer.pt", molecules)


def test_what_was_fitted_to_molecules_of_no_file_is_not_written(parity_molecules, tmp_path):
    with pytest.raises(ValueError, match="were read from no file"):
        save_fitted_force_field(tmp_path / "x.pt", parity_molecules.force_field, parity_molecules, [])


# --- what was written by others --------------------------------------------------------------------------------------


def test_format_1_is_refused_with_what_to_do(tmp_path):
    torch.save({"format": 1, "force_field": {"potentials": []}, "topologies": {}}, tmp_path / "x.pt")
    with raises_with_advice(ArtifactError, r"x\.pt: format 1, .* expected 2; run 002-parameterize\.py again"):
        load_parameters(tmp_path / "x.pt")


class Surprise:
    """What runs code when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("a class was unpickled",))


def test_pickled_classes_are_refused(tmp_path):
    torch.save({"format": 2, "force_field": Surprise()}, tmp_path / "x.pt")
    with raises_with_advice(
        ArtifactError, r"x\.pt: refused, it holds more than plain tensors.*run 002-parameterize\.py"
    ):
        load_parameters(tmp_path / "x.pt")


def find(plain, *path):
    """What stands in a nest under these names, and the last name: to be replaced."""
    for name in path[:-1]:
        plain = plain[name]
    return plain, path[-1]


BONDS = ("topologies", "parameters", "Bonds")
VDW = ("topologies", "parameters", "vdW")
POTENTIAL = ("force_field", "potentials", 0)


def set_first(value):
    """The tensor with another first number."""

    def change(tensor):
        changed = tensor.clone()
        changed.view(-1)[0] = value
        return changed

    return change


def expand(tensor):
    """As many zeros as would fill 8 GB, of a single one."""
    return torch.zeros(1, dtype=tensor.dtype).expand(1 << 30)


DAMAGES = {
    "a list": ((), lambda plain: [plain], r"format 'list'"),
    "no topologies": (("topologies",), None, r"'topologies' is missing"),
    "no counts": (("topologies", "n_atoms"), None, r"'n_atoms' is missing"),
    "no potentials": (("force_field", "potentials"), 3, r"a field is misplaced \(.*int"),
    "an unknown term": ((*POTENTIAL, "fn"), "k*r**4", r"this energy term is not known"),
    "an unknown type": ((*POTENTIAL, "type"), "Charges", r"'Charges', .* this energy term is not known"),
    "a type twice": ((*POTENTIAL,), lambda old: {**old, "type": "Angles", "fn": "k/2*(theta-angle)**2"}, "columns"),
    "other units": ((*POTENTIAL, "parameter_units"), ["kJ", "nm"], r"Bonds: has columns"),
    "other columns": ((*POTENTIAL, "parameter_cols"), ["k", "k"], r"Bonds: has columns"),
    "a value that is not finite": (
        (*POTENTIAL, "parameters"),
        set_first(torch.nan),
        r"Bonds parameters: .* not finite",
    ),
    "values of another type": ((*POTENTIAL, "parameters"), lambda old: old.float(), r"no tensor of float64"),
    "a row without a key": ((*POTENTIAL, "parameters"), lambda old: torch.cat([old, old[:1]]), r"has shape"),
    "no such id": ((*POTENTIAL, "parameter_keys", "id_idxs"), set_first(10**6), r"id_idxs: some are out of range"),
    "no scales": (("force_field", "potentials", 4, "attributes"), None, r"'attributes' is missing"),
    "a molecule twice": (("topologies", "smiles"), lambda old: [old[1], *old[1:]], r"a molecule is there twice"),
    "no molecule's name": (("topologies", "smiles"), lambda old: [7, *old[1:]], r"smiles: no list of text"),
    "types of another force field": (VDW, None, r"topologies have \['Bonds'.*the force field"),
    "counts that are huge": (("topologies", "n_atoms"), set_first(1 << 62), r"n_atoms: counts do not add up"),
    "counts that overflow": (("topologies", "n_bonds"), lambda old: old + (1 << 62), r"n_bonds: counts do not add up"),
    "negative counts": ((*BONDS, "n_interactions"), lambda old: torch.cat([old[:1] - 99, old[1:] + 1]), "add up"),
    "a huge tensor of few numbers": (("topologies", "atomic_nums"), expand, r"8589934592 bytes has 8 in the file"),
    "a huge tensor of none": (("topologies", "bond_idxs"), torch.zeros((1 << 40, 0), dtype=torch.int64), "bond_idxs"),
    "an element that is none": (("topologies", "atomic_nums"), set_first(119), r"atomic_nums: holds 1 to 119"),
    "an atom of another molecule": ((*BONDS, "particle_idxs"), set_first(60), r"Bonds particle_idxs: .* out of range"),
    "a negative atom": ((*VDW, "exclusions"), set_first(-1), r"vdW exclusions: holds -1"),
    "a parameter that is not there": ((*BONDS, "parameter_idxs"), set_first(10**4), r"Bonds parameter_idxs: .*range"),
    "a scale that is not there": ((*VDW, "exclusion_scale_idxs"), set_first(4), r"exclusion_scale_idxs: .*range"),
    "atoms without parameters": ((*VDW, "parameter_idxs"), lambda old: old[1:], r"vdW parameter_idxs: has shape"),
    "indices that are no integers": ((*BONDS, "particle_idxs"), lambda old: old.double(), r"no tensor of int64"),
    "reasons that are no text": (("failures",), {"C": 3}, r"failures: no reasons"),
    "no provenance": (("provenance",), "mine", r"a field is misplaced \(.*str"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_what_makes_no_sense_is_refused_whoever_wrote_it(name, saved, tmp_path):
    """Each of these files names its contents by their right hash: it was made so, not damaged on its way."""
    path, change, message = DAMAGES[name]
    plain = torch.load(saved, weights_only=True)
    if not path:
        plain = change(plain)
    else:
        nest, last = find(plain, *path)
        if change is None:
            del nest[last]
        else:
            nest[last] = change(nest[last]) if callable(change) else change
    if isinstance(plain, dict):
        contents = {key: plain[key] for key in ("force_field", "topologies") if key in plain}
        plain["content_hash"] = "" if name == "a huge tensor of few numbers" else compute_tensors_hash(contents)
    torch.save(plain, tmp_path / "x.pt")
    with raises_with_advice(ArtifactError, rf"x\.pt.*{message}.*; run 002-parameterize\.py again"):
        load_parameters(tmp_path / "x.pt")


def test_contents_that_are_not_those_that_were_hashed_are_refused(saved, tmp_path):
    plain = torch.load(saved, weights_only=True)
    plain["force_field"]["potentials"][0]["parameters"][0, 0] += 1e-9
    torch.save(plain, tmp_path / "x.pt")
    with raises_with_advice(ArtifactError, r"x\.pt: its contents are not those that it names; run 002"):
        load_parameters(tmp_path / "x.pt")


def test_a_force_field_that_is_another_than_its_hash_says_is_refused(parity_molecules, tmp_path):
    provenance = {"offxml": "<SMIRNOFF/>", "force_field_sha256": hashlib.sha256(b"<SMIRNOFF/>").hexdigest()}
    save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, provenance=provenance))
    assert load_parameters(tmp_path / "x.pt").provenance == provenance
    provenance["offxml"] = "<SMIRNOFF version='0.3'/>"
    save_parameters(tmp_path / "x.pt", dataclasses.replace(parity_molecules, provenance=provenance))
    with raises_with_advice(
        ArtifactError, r"x\.pt: names a force field of SHA-256 .* holds one of .*002-parameterize\.py again"
    ):
        load_parameters(tmp_path / "x.pt")


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04" + bytes(100)])
def test_damaged_files_are_refused(content, tmp_path):
    (tmp_path / "x.pt").write_bytes(content)
    with raises_with_advice(ArtifactError, r"x\.pt.*run 002-parameterize"):
        load_parameters(tmp_path / "x.pt")


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99, 0.9999])
def test_a_cut_file_is_refused(fraction, saved, tmp_path):
    data = saved.read_bytes()
    (tmp_path / "x.pt").write_bytes(data[: int(fraction * len(data))])
    with raises_with_advice(ArtifactError, r"x\.pt.*run 002-parameterize"):
        load_parameters(tmp_path / "x.pt")


def test_a_missing_file_is_named(tmp_path):
    with raises_with_advice(FileNotFoundError, r"x\.pt: no such file; run 002-parameterize"):
        load_parameters(tmp_path / "x.pt")
    with raises_with_advice(FileNotFoundError, r"x\.pt: no such file; run 002-parameterize"):
        read_content_hash(tmp_path / "x.pt")
