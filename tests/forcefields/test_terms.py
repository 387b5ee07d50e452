"""What is said of each energy term is what is computed: the formulas that files carry, columns, units, atoms."""

import numpy
import pytest
import torch

from common.forcefields.energy import GEOMETRY, compute_energy_by_type
from common.forcefields.tensors import (
    NonbondedParameterMap,
    ParameterKey,
    TensorForceField,
    TensorPotential,
    TensorTopology,
    ValenceParameterMap,
)
from common.forcefields.terms import ENERGY_FUNCTIONS, N_PARTICLES, NONBONDED_TYPES, PARAMETER_UNITS, VALENCE_TYPES

VALUES = {
    "Bonds": {"k": 600.0, "length": 1.4},
    "Angles": {"k": 80.0, "angle": 1.9},
    "ProperTorsions": {"k": 1.3, "periodicity": 3.0, "phase": 0.5, "idivf": 1.0},
    "ImproperTorsions": {"k": 1.3, "periodicity": 2.0, "phase": 3.0, "idivf": 1.0},
    "vdW": {"epsilon": 0.2, "sigma": 3.0},
}
SYMBOLS = {"Bonds": "r", "Angles": "theta", "ProperTorsions": "theta", "ImproperTorsions": "theta", "vdW": "r"}


def build(type_: str) -> tuple[TensorTopology, TensorForceField, int]:
    """Atoms with one interaction of this type, and how many they are."""
    n_atoms = N_PARTICLES.get(type_, 2)
    empty = torch.zeros((0, 2), dtype=torch.int64)
    if type_ in VALENCE_TYPES:
        map_ = ValenceParameterMap(torch.arange(n_atoms)[None], torch.zeros(1, dtype=torch.int64))
    else:
        map_ = NonbondedParameterMap(torch.zeros(n_atoms, dtype=torch.int64), empty, empty[:, :1])
    potential = TensorPotential(
        type=type_,
        fn=ENERGY_FUNCTIONS[type_],
        parameters=torch.tensor([[VALUES[type_][name] for name in PARAMETER_UNITS[type_]]], dtype=torch.float64),
        parameter_keys=(ParameterKey("[*:1]"),),
        parameter_cols=tuple(PARAMETER_UNITS[type_]),
        parameter_units=tuple(PARAMETER_UNITS[type_].values()),
        attributes=torch.tensor([1.0], dtype=torch.float64) if type_ in NONBONDED_TYPES else None,
        attribute_cols=("scale_15",) if type_ in NONBONDED_TYPES else None,
        attribute_units=("",) if type_ in NONBONDED_TYPES else None,
    )
    ones = torch.ones(n_atoms, dtype=torch.int64)
    return TensorTopology(ones, 0 * ones, empty, empty[:, 0], {type_: map_}), TensorForceField((potential,)), n_atoms


@pytest.mark.parametrize("type_", VALUES)
def test_the_formula_in_files_is_the_energy(type_):
    topology, force_field, n_atoms = build(type_)
    coords = torch.randn(5, n_atoms, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2.0
    q = GEOMETRY[type_][0](*coords.permute(1, 2, 0))
    names = {**VALUES[type_], SYMBOLS[type_]: q.numpy(), "cos": numpy.cos}
    expected = eval(ENERGY_FUNCTIONS[type_], {"__builtins__": {}}, names)
    found = compute_energy_by_type(topology, force_field, coords)[type_].numpy()
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)


def test_every_type_is_described_in_full():
    types = {*VALENCE_TYPES, *NONBONDED_TYPES}
    assert set(ENERGY_FUNCTIONS) == set(PARAMETER_UNITS) == set(GEOMETRY) == types
    assert set(N_PARTICLES) == set(VALENCE_TYPES)
    for type_, units in PARAMETER_UNITS.items():
        for name in units:
            assert name in ENERGY_FUNCTIONS[type_] or type_ == "Electrostatics" or name == "idivf"
