"""Topologies laid end to end: counts say where each begins, and the pieces are views."""

import pickle

import pytest
import torch

from common.files.tensor_file import compute_tensors_hash
from common.forcefields.stacking import (
    StackedTopologies,
    check_stacked,
    count_atoms,
    get_connectivity_keys,
    join_stacked,
    stack_topologies,
)
from common.forcefields.tensors import TensorForceField, TensorTopology


def make_topology(n_atoms: int) -> TensorTopology:
    """A chain of carbon atoms."""
    chain = torch.arange(n_atoms)
    return TensorTopology(
        atomic_nums=torch.full((n_atoms,), 6),
        formal_charges=torch.zeros(n_atoms, dtype=torch.int64),
        bond_idxs=torch.stack([chain[:-1], chain[1:]], dim=1),
        bond_orders=torch.ones(n_atoms - 1, dtype=torch.int64),
        parameters={},
    )


def test_counts_say_where_each_molecule_begins():
    stacked = stack_topologies({"one": make_topology(3), "two": make_topology(1), "three": make_topology(2)}, _NOTHING)
    assert stacked["smiles"] == ["one", "two", "three"]
    assert stacked["n_atoms"].tolist() == [3, 1, 2]
    assert stacked["n_bonds"].tolist() == [2, 0, 1]
    assert stacked["bond_idxs"].tolist() == [[0, 1], [1, 2], [0, 1]]  # atoms are counted within their molecule
    check_stacked(stacked, _NOTHING)
    pieces = StackedTopologies(stacked)
    assert pieces["two"].n_atoms == 1
    assert pieces["two"].bond_idxs.shape == (0, 2)
    assert pieces["three"].bond_idxs.tolist() == [[0, 1]]


_NOTHING = TensorForceField(())


def test_pieces_are_views_of_the_whole(parity_molecules):
    stacked = stack_topologies(parity_molecules.topologies, parity_molecules.force_field)
    check_stacked(stacked, parity_molecules.force_field)
    whole = {stacked["atomic_nums"].untyped_storage().data_ptr()}
    whole |= {one.untyped_storage().data_ptr() for one in stacked["parameters"]["Bonds"].values()}
    for topology in StackedTopologies(stacked).values():
        map_ = topology.parameters["Bonds"]
        pieces = (topology.atomic_nums, map_.particle_idxs, map_.parameter_idxs)
        assert {piece.untyped_storage().data_ptr() for piece in pieces if piece.numel()} <= whole


def test_blocks_and_processes_make_no_difference(parity_molecules):
    """Molecules stacked in two blocks are those stacked at once; a copy sent to another process has the same."""
    items, force_field = list(parity_molecules.topologies.items()), parity_molecules.force_field
    whole = stack_topologies(dict(items), force_field)
    joined = join_stacked([stack_topologies(dict(part), force_field) for part in (items[:40], items[40:])])
    assert compute_tensors_hash(joined) == compute_tensors_hash(whole)
    exclusions = [joined["parameters"][type_]["exclusions"] for type_ in ("vdW", "Electrostatics")]
    assert exclusions[0] is exclusions[1]
    sent = pickle.loads(pickle.dumps(StackedTopologies(joined)))
    assert stack_topologies(sent, force_field) == sent.stacked
    assert count_atoms(sent) == count_atoms(parity_molecules.topologies)
    for smiles, topology in items:
        assert sent[smiles] is sent[smiles]
        for type_, map_ in topology.parameters.items():
            for name, tensor in vars(map_).items():
                assert torch.equal(tensor, getattr(sent[smiles].parameters[type_], name))


def test_each_molecule_has_a_connectivity_key_or_none_has(parity_molecules):
    stacked = stack_topologies(parity_molecules.topologies, parity_molecules.force_field)
    check_stacked({**stacked, "connectivity": stacked["smiles"]}, parity_molecules.force_field)
    assert get_connectivity_keys(StackedTopologies(stacked)) == {}
    keys = [one[::-1] for one in stacked["smiles"]]
    found = get_connectivity_keys(StackedTopologies({**stacked, "connectivity": keys}))
    assert found == {smiles: smiles[::-1] for smiles in stacked["smiles"]}
    for keys in (stacked["smiles"][1:], [1] * len(stacked["smiles"]), "text"):
        with pytest.raises(ValueError, match="connectivity: no text for each molecule"):
            check_stacked({**stacked, "connectivity": keys}, parity_molecules.force_field)


def test_a_molecule_of_one_atom_and_none_at_all(parity_molecules):
    stacked = stack_topologies({}, parity_molecules.force_field)
    check_stacked(stacked, parity_molecules.force_field)
    assert StackedTopologies(stacked) == {}
    assert stacked["parameters"]["ProperTorsions"]["particle_idxs"].shape == (0, 4)


def test_an_atom_is_one_of_its_own_molecule(parity_molecules):
    """An index that points at an atom of the next molecule is within the tensor, and wrong."""
    stacked = stack_topologies({"one": make_topology(2), "two": make_topology(5)}, _NOTHING)
    stacked["bond_idxs"][0, 1] = 2
    with pytest.raises(ValueError, match="bond_idxs: holds 0 to 4, some of them out of range"):
        check_stacked(stacked, _NOTHING)
