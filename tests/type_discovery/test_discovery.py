"""Discovery as a whole: a finer typing that is known is found again, and nothing where there is nothing."""

import csv
import dataclasses

import numpy
import pytest
import torch

from common.data.dataset import Entry
from common.data.splits import assign_folds
from common.forcefields.tensors import ParameterizedMolecules
from common.molecules.conformers import embed_conformers
from common.molecules.mapped_smiles import from_mapped_smiles, from_smiles, to_mapped_smiles
from common.smirnoff.offxml import read_force_field
from common.smirnoff.parameterize import parameterize
from common.sufficient_statistics.linearization import Linearization
from common.type_discovery.discovery import Discovery, Start, discover, list_types, name_types
from common.type_discovery.leaf_statistics import LossSettings, compute_leaf_statistics
from common.type_discovery.leaves import Leaves, find_leaves
from common.type_discovery.refinement import Split, describe_splits, find_parents, refine
from tests.helpers import ROOT, simulate_entries, write_dataset

N_FOLDS = 4
WIDTHS = {
    "Bonds": {"k": 100.0, "length": 0.05},
    "Angles": {"k": 50.0, "angle": 0.1},
    "ProperTorsions": {"k": 1.0},
}
TRUTH = (
    ("Bonds", "[#6X4:1]-[#6X4:2]", "[#6X4;r:1]-[#6X4:2]", {"length": 0.03, "k": 60.0}),
    ("Angles", "[*:1]~[#6X4:2]~[*:3]", "[*:1]~[#6X4;$(*~[#8]):2]~[*:3]", {"angle": 0.06}),
    ("Bonds", "[#6:1]-[#1:2]", "[#6;$(*~[#7]):1]-[#1:2]", {"k": 80.0}),
)
"""Section, parent, child, and by how much the child's values differ."""


@pytest.fixture(scope="module")
def molecules() -> ParameterizedMolecules:
    with (ROOT / "example" / "molecules.csv").open() as file:
        smiles = sorted({to_mapped_smiles(from_smiles(row["smiles"])) for row in csv.DictReader(file)})
    return parameterize(read_force_field(ROOT / "example" / "starter.offxml"), smiles[:60], 1)


def write_data(folder, molecules: ParameterizedMolecules, truth: ParameterizedMolecules) -> None:
    """Conformers with energies and forces of another force field, and noise."""
    entries = []
    for i, smiles in enumerate(molecules.topologies):
        coords = embed_conformers(from_mapped_smiles(smiles), 3, seed=i)
        coords = coords + numpy.random.default_rng(i).normal(0.0, 0.05, coords.shape)
        entries.append(Entry(smiles, coords, numpy.zeros(len(coords)), numpy.zeros_like(coords)))
    write_dataset(folder / "one", simulate_entries(truth, truth.force_field, entries, 0.1, 0.5))


def make_start(molecules: ParameterizedMolecules, leaves: Leaves, strength: float) -> Start:
    """All valence parameters that the molecules have, with priors about the force field."""
    linearization = Linearization(molecules.force_field)
    columns, precisions = [], []
    for type_, widths in WIDTHS.items():
        potential = molecules.force_field.potentials_by_type[type_]
        for row in sorted(set(leaves.parent_rows[type_].tolist())):
            first = linearization.get_feature(type_, row)
            for j, (name, width) in enumerate(widths.items()):
                scale = width * (float(potential.column("k")[row]) if name in ("length", "angle") else 1.0)
                columns.append(first + j)
                precisions.append(strength / scale**2)
    order = numpy.argsort(columns)
    prior = numpy.diag([*numpy.array(precisions)[order], 0.0])
    return Start(prior, numpy.array(columns)[order], WIDTHS)


def run(folder, molecules: ParameterizedMolecules, max_splits: int) -> tuple[Discovery, list[Split]]:
    folds = assign_folds(molecules.topologies, N_FOLDS, 0)
    leaves = find_leaves(molecules, folds)
    statistics = compute_leaf_statistics(folder, leaves.molecules, folds, N_FOLDS, LossSettings())
    start = make_start(molecules, leaves, 1e-3)
    found = discover(leaves, statistics, start, max_splits, strengths=(0.01, 0.1, 1.0))
    names = name_types(leaves, list_types(leaves, statistics, start, 3))
    return found, describe_splits(found.steps, leaves, names)


def test_a_known_finer_typing_is_found(molecules, tmp_path):
    smirks = {key.id for p in molecules.force_field.potentials for key in p.parameter_keys}
    assert {parent for _, parent, _, _ in TRUTH} <= smirks
    truth = refine(molecules, [Split(type_, parent, child, "", 0.0, None) for type_, parent, child, _ in TRUTH])
    tables = {}
    for type_, _, child, changes in TRUTH:
        potential = truth.force_field.potentials_by_type[type_]
        table = tables.get(type_, potential.parameters.clone())
        [row] = [i for i, key in enumerate(potential.parameter_keys) if key.id == child]
        for name, change in changes.items():
            table[row, potential.parameter_cols.index(name)] += change
        tables[type_] = table
    truth = dataclasses.replace(truth, force_field=truth.force_field.replace_parameters(tables))
    write_data(tmp_path, molecules, truth)
    found, splits = run(tmp_path, molecules, 8)
    first = splits[: len(TRUTH)]
    assert {(split.type, split.parent) for split in first} == {(type_, parent) for type_, parent, _, _ in TRUTH}
    # the same molecules part: another word may say the same of them
    for split in first:
        [child] = [child for type_, parent, child, _ in TRUTH if (type_, parent) == (split.type, split.parent)]
        mine, theirs = (
            refine(molecules, [Split(split.type, split.parent, one, "", 0.0, None)]) for one in (split.child, child)
        )
        alike = [
            torch.equal(
                mine.topologies[smiles].parameters[split.type].parameter_idxs,
                theirs.topologies[smiles].parameters[split.type].parameter_idxs,
            )
            for smiles in molecules.topologies
        ]
        assert all(alike), split
    assert found.losses[found.strength][len(TRUTH)] < 0.7 * found.losses[found.strength][0]
    assert (numpy.diff(found.losses_train) < 0.0).all()
    assert find_parents(splits)[splits[0].type, splits[0].child] == splits[0].parent


def test_nothing_is_found_where_the_typing_is_right(molecules, tmp_path):
    write_data(tmp_path, molecules, molecules)
    found, splits = run(tmp_path, molecules, 6)
    assert len(splits) <= 1
    assert min(losses[1:].min() for losses in found.losses.values()) > 0.98 * found.losses[found.strength][0]
