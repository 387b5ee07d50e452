"""The direct evaluation: against smee's energies and forces, and the same however it is cut up."""

import dataclasses

import numpy
import pytest

from common.analysis import predictions
from common.analysis.predictions import Candidate, index_data, load_candidates, predict, predict_here
from common.data.dataset import Entry
from common.data.weighting import ConformerSelection
from common.forcefields.parameter_file import save_parameters
from tests.helpers import change_parameters, make_entries, write_dataset

ENERGY_TOLERANCE = 1e-6
"""[kcal/mol] between smee's energies and ours: rounding in sums of hundreds of terms, up to 1e4 kcal/mol each."""

FORCE_TOLERANCE = 1e-5
"""[kcal/mol/Angstrom] likewise; smee took forces by automatic differentiation."""


@pytest.fixture(scope="module")
def project(tmp_path_factory, parity_molecules, parity_energies):
    """A folder of two sources whose reference is what smee computed, and two force fields: smee's, and another."""
    folder = tmp_path_factory.mktemp("project")
    entries = [
        Entry(
            record["smiles"],
            numpy.array(record["coords"]),
            numpy.array(record["energy"]) - numpy.mean(record["energy"]),
            numpy.array(record["forces"]),
        )
        for record in parity_energies
    ]
    write_dataset(folder / "data" / "one", entries[:40])
    write_dataset(folder / "data" / "two", entries[40:])
    save_parameters(folder / "right.pt", parity_molecules)
    other = change_parameters(parity_molecules.force_field, ("Bonds", "ProperTorsions"), seed=1)
    save_parameters(folder / "other.pt", dataclasses.replace(parity_molecules, force_field=other, topologies={}))
    return folder


def list_candidates(folder):
    return [
        Candidate("right", folder / "right.pt", folder / "right.pt"),
        Candidate("other", folder / "other.pt", folder / "right.pt"),
    ]


@pytest.fixture(scope="module")
def rows(project):
    return index_data(project / "data", load_candidates(list_candidates(project)), lambda smiles: "test").rows


@pytest.fixture(scope="module")
def found(project, rows):
    return predict(project / "data", rows, list_candidates(project), ConformerSelection(), n_workers=1)


def test_smees_energies_and_forces_are_without_error(found, parity_energies):
    assert found.names == ("right", "other")
    assert [row.smiles for row in found.rows] == [record["smiles"] for record in parity_energies]
    for start, n_confs in zip(found.starts, found.n_confs, strict=True):
        difference = (found.energies[0] - found.reference)[start : start + n_confs]
        assert numpy.ptp(difference) < ENERGY_TOLERANCE
    n_components = 3 * numpy.repeat(found.n_atoms, found.n_confs)
    assert numpy.sqrt(found.force_squares[0] / n_components).max() < FORCE_TOLERANCE
    assert (found.force_magnitudes[0] / n_components).max() < FORCE_TOLERANCE
    assert numpy.median(numpy.sqrt(found.force_squares[1] / n_components)) > 1000.0 * FORCE_TOLERANCE


def test_two_processes_and_small_slices_give_the_same(project, rows, found, monkeypatch):
    monkeypatch.setattr(predictions, "MAX_CONFORMERS_PER_SLICE", 100)
    others = [
        predict(project / "data", rows, list_candidates(project), ConformerSelection(), n_workers=2),
        predict_here(project / "data", rows, load_candidates(list_candidates(project)), ConformerSelection()),
    ]
    for other in others:
        assert other.rows == found.rows
        assert other.keys == found.keys
        numpy.testing.assert_allclose(other.energies, found.energies, rtol=1e-12)
        numpy.testing.assert_allclose(other.force_squares[1], found.force_squares[1], rtol=1e-9)
        assert other.force_samples["test"].shape == found.force_samples["test"].shape
        assert other.check.n_conformers == found.check.n_conformers


def test_conformers_are_computed_a_second_time_by_the_plain_functions(project, rows, found, monkeypatch):
    n_confs = int(found.n_confs.sum())
    assert found.check.n_conformers == n_confs <= predictions.MAX_CHECKED
    assert 0.0 < found.check.relative < 1e-12
    monkeypatch.setattr(predictions, "MAX_CHECKED", n_confs // 3)
    candidates = load_candidates(list_candidates(project))
    one, two = (predict_here(project / "data", rows, candidates, ConformerSelection()).check for _ in "ab")
    assert one == two
    assert one.n_conformers == pytest.approx(n_confs / 3, rel=0.5)


def test_samples_are_all_components_or_a_bounded_number_of_them(project, rows, found, monkeypatch):
    n_components = int((3 * found.n_atoms * found.n_confs).sum())
    assert found.force_samples["test"].shape == (3, n_components)
    assert numpy.abs(found.force_samples["test"][1] - found.force_samples["test"][0]).max() < 1e-2  # float32, up to 1e4
    monkeypatch.setattr(predictions, "MAX_SAMPLED_COMPONENTS", n_components // 10)
    candidates = load_candidates(list_candidates(project))
    one, two = (
        predict_here(project / "data", rows, candidates, ConformerSelection()).force_samples["test"] for _ in "ab"
    )
    numpy.testing.assert_array_equal(one, two)
    assert one.shape[1] == pytest.approx(n_components / 10, rel=0.2)
    assert set(one[0]) <= set(found.force_samples["test"][0])


def test_selected_candidates_keep_their_figures(found):
    other = found.select(["other"])
    numpy.testing.assert_array_equal(other.energies[0], found.energies[1])
    numpy.testing.assert_array_equal(other.force_samples["test"], found.force_samples["test"][[0, 2]])


def test_conformers_above_the_ceiling_do_not_count(tmp_path, parity_molecules, parity_energies):
    [entry] = make_entries(parity_energies[:1], n_confs=6)
    entry = dataclasses.replace(entry, energy=numpy.array([0.0, 1.0, 2.0, 30.0, 40.0, 3.0]))
    write_dataset(tmp_path / "data" / "one", [entry])
    candidates = {"right": parity_molecules}
    rows = index_data(tmp_path / "data", candidates, lambda smiles: "all").rows
    found = predict_here(tmp_path / "data", rows, candidates, ConformerSelection(energy_ceiling=10.0))
    assert found.rows[0].n_confs == 4
    assert found.energies.shape == (1, 4)
    assert found.weights.tolist() == [0.25] * 4


def test_molecules_that_one_force_field_lacks_are_left_out_for_all_and_named(project, parity_molecules):
    missing = list(parity_molecules.topologies)[:2]
    topologies = {smiles: one for smiles, one in parity_molecules.topologies.items() if smiles not in missing}
    partial = dataclasses.replace(parity_molecules, topologies=topologies, failures={missing[0]: "no vdW pattern"})
    index = index_data(project / "data", {"whole": parity_molecules, "partial": partial}, lambda smiles: "all")
    assert index.left_out == {"partial": {missing[0]: "no vdW pattern", missing[1]: "it is not known there"}}
    assert {row.smiles for row in index.rows} == set(topologies)
    with pytest.raises(ValueError, match="no molecule that every force field can do; none lacks"):
        none = dataclasses.replace(parity_molecules, topologies={})
        index_data(project / "data", {"none": none}, lambda smiles: "all")


def test_values_of_another_force_field_are_refused(project, tmp_path, parity_molecules):
    potentials = tuple(p for p in parity_molecules.force_field.potentials if p.type != "Bonds")
    foreign = dataclasses.replace(parity_molecules.force_field, potentials=potentials)
    save_parameters(tmp_path / "foreign.pt", dataclasses.replace(parity_molecules, force_field=foreign, topologies={}))
    with pytest.raises(ValueError, match=r"foreign\.pt holds other parameters than"):
        load_candidates([Candidate("foreign", tmp_path / "foreign.pt", project / "right.pt")])


def test_data_of_another_molecule_are_named(tmp_path, parity_molecules, parity_energies):
    one, two = (make_entries([record], n_confs=2)[0] for record in parity_energies[:2])
    assert one.n_atoms != two.n_atoms
    write_dataset(tmp_path / "data" / "one", [dataclasses.replace(one, coords=two.coords, forces=two.forces)])
    candidates = {"right": parity_molecules}
    rows = index_data(tmp_path / "data", candidates, lambda smiles: "all").rows
    with pytest.raises(ValueError, match=r"one, row 0.*with right: coords have shape"):
        predict_here(tmp_path / "data", rows, candidates, ConformerSelection())
