"""Many topologies as one tensor for each field, the molecules laid end to end, with counts: what a file holds.

The fields are those of ``TensorTopology`` and its maps, name for name. Beside them stand, for each molecule,
``n_atoms`` and ``n_bonds``, for each valence type ``n_interactions``, for each non-bonded type ``n_exclusions``::

    {"smiles": [...], "connectivity": [...],
     "n_atoms": (n_molecules,), "n_bonds": (n_molecules,),
     "atomic_nums": (sum of n_atoms,), "formal_charges": (sum of n_atoms,),
     "bond_idxs": (sum of n_bonds, 2), "bond_orders": (sum of n_bonds,),
     "parameters": {"Bonds": {"n_interactions": (n_molecules,), "particle_idxs": (sum of n_interactions, 2),
                              "parameter_idxs": (sum of n_interactions,)}, ...,
                    "vdW": {"n_exclusions": (n_molecules,), "parameter_idxs": (sum of n_atoms,),
                            "exclusions": (sum of n_exclusions, 2), "exclusion_scale_idxs": (sum of n_exclusions, 1)},
                    ...}}

``connectivity`` holds the molecules' connectivity keys; files of earlier versions lack it. All tensors are int64. Atoms
are counted within their molecule.
"""

import collections.abc
import typing

import torch

from common.forcefields.tensors import (
    NonbondedParameterMap,
    ParameterMap,
    TensorForceField,
    TensorPotential,
    TensorTopology,
    ValenceParameterMap,
)
from common.forcefields.terms import N_PARTICLES, NONBONDED_TYPES

ATOM_FIELDS = ("atomic_nums", "formal_charges")
BOND_FIELDS = ("bond_idxs", "bond_orders")
EXCLUSION_FIELDS = ("exclusions", "exclusion_scale_idxs")

MAX_ATOMIC_NUMBER = 118


# --- to one tensor a field -------------------------------------------------------------------------------------------


def stack_topologies(
    topologies: collections.abc.Mapping[str, TensorTopology], force_field: TensorForceField
) -> dict[str, typing.Any]:
    """Lays topologies end to end.

    Args:
        topologies: by mapped SMILES, each with a map of every type of the force field and of no other.
        force_field: what was applied to them.

    Raises:
        ValueError: a topology has other maps.
    """
    types = list(force_field.potentials_by_type)
    if isinstance(topologies, StackedTopologies) and list(topologies.stacked["parameters"]) == types:
        return dict(topologies.stacked)
    for smiles, topology in topologies.items():
        if set(topology.parameters) != set(types):
            raise ValueError(f"{smiles}: has parameters of {list(topology.parameters)}, the force field of {types}")
    molecules = list(topologies.values())
    stacked: dict[str, typing.Any] = {
        "smiles": list(topologies),
        "n_atoms": _count([one.atomic_nums for one in molecules]),
        "n_bonds": _count([one.bond_idxs for one in molecules]),
    }
    for name in (*ATOM_FIELDS, *BOND_FIELDS):
        stacked[name] = _concatenate([getattr(one, name) for one in molecules], 2 if name == "bond_idxs" else None)
    stacked["parameters"] = {type_: _stack_maps(type_, [one.parameters[type_] for one in molecules]) for type_ in types}
    _share_exclusions(stacked["parameters"])
    return stacked


def join_stacked(blocks: collections.abc.Sequence[dict[str, typing.Any]]) -> dict[str, typing.Any]:
    """Stacked topologies of one force field, at least one block of them, as one."""
    joined: dict[str, typing.Any] = {
        name: torch.cat([block[name] for block in blocks])
        for name in ("n_atoms", "n_bonds", *ATOM_FIELDS, *BOND_FIELDS)
    }
    joined["smiles"] = [smiles for block in blocks for smiles in block["smiles"]]
    joined["parameters"] = {
        type_: {name: torch.cat([block["parameters"][type_][name] for block in blocks]) for name in fields}
        for type_, fields in blocks[0]["parameters"].items()
    }
    _share_exclusions(joined["parameters"])
    return joined


def _stack_maps(type_: str, maps: list[ParameterMap]) -> dict[str, torch.Tensor]:
    count, counted, widths = _describe_maps(type_)
    pieces = {name: [getattr(map_, name) for map_ in maps] for name in widths}
    return {
        count: _count(pieces[counted]),
        **{name: _concatenate(pieces[name], width) for name, width in widths.items()},
    }


def _describe_maps(type_: str) -> tuple[str, str, dict[str, int | None]]:
    """The counts of a type and what they count, and the fields of its maps with the number of columns, if any."""
    if type_ in NONBONDED_TYPES:
        return "n_exclusions", "exclusions", {"parameter_idxs": None, "exclusions": 2, "exclusion_scale_idxs": 1}
    return "n_interactions", "particle_idxs", {"particle_idxs": N_PARTICLES[type_], "parameter_idxs": None}


def _count(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.tensor([len(tensor) for tensor in tensors], dtype=torch.int64)


def _concatenate(tensors: list[torch.Tensor], width: int | None) -> torch.Tensor:
    empty = torch.zeros((0,) if width is None else (0, width), dtype=torch.int64)
    return torch.cat([empty, *tensors])


def _share_exclusions(parameters: dict[str, dict[str, torch.Tensor]]) -> None:
    """Where the non-bonded types leave out the same pairs, as they mostly do, these are one tensor, stored once."""
    names = ("n_exclusions", *EXCLUSION_FIELDS)
    first, *others = [parameters[type_] for type_ in NONBONDED_TYPES if type_ in parameters] or [{}]
    for other in others:
        if all(torch.equal(first[name], other[name]) for name in names):
            other.update({name: first[name] for name in names})


# --- and back --------------------------------------------------------------------------------------------------------


class StackedTopologies(collections.abc.Mapping[str, TensorTopology]):
    """Topologies by mapped SMILES, each made as views of the stacked tensors when it is asked for.

    Tens of thousands of molecules have some hundred thousand tensors, which would take longer to make, and far more
    memory, than their numbers. The one that was asked for last is the same object as long as it is.
    """

    def __init__(self, stacked: collections.abc.Mapping[str, typing.Any]):
        """Takes what :func:`stack_topologies` gave, or :func:`check_stacked` has passed: ``stacked``."""
        self.stacked = stacked
        self._places = {smiles: i for i, smiles in enumerate(stacked["smiles"])}
        self._ends: dict[int, list[int]] = {}  # of the pieces of each tensor of counts, by its identity
        self._last: tuple[str, TensorTopology] | None = None

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> collections.abc.Iterator[str]:
        return iter(self._places)

    def __contains__(self, smiles: object) -> bool:
        return smiles in self._places

    def __getitem__(self, smiles: str) -> TensorTopology:
        if self._last is None or self._last[0] != smiles:
            self._last = smiles, self._make(self._places[smiles])
        return self._last[1]

    def __getstate__(self) -> dict[str, typing.Any]:
        return {"stacked": self.stacked}

    def __setstate__(self, state: dict[str, typing.Any]) -> None:
        self.__init__(state["stacked"])  # type: ignore[misc]

    def _make(self, i: int) -> TensorTopology:
        stacked = self.stacked
        atoms, bonds = self._find(stacked["n_atoms"], i), self._find(stacked["n_bonds"], i)
        maps: dict[str, ParameterMap] = {}
        for type_, fields in stacked["parameters"].items():
            own = self._find(fields[_describe_maps(type_)[0]], i)
            if type_ in NONBONDED_TYPES:
                pairs = [fields[name][own] for name in EXCLUSION_FIELDS]
                maps[type_] = NonbondedParameterMap(fields["parameter_idxs"][atoms], *pairs)
            else:
                maps[type_] = ValenceParameterMap(fields["particle_idxs"][own], fields["parameter_idxs"][own])
        return TensorTopology(
            stacked["atomic_nums"][atoms],
            stacked["formal_charges"][atoms],
            stacked["bond_idxs"][bonds],
            stacked["bond_orders"][bonds],
            maps,
        )

    def count_atoms(self) -> dict[str, int]:
        """The number of atoms of each molecule."""
        return dict(zip(self.stacked["smiles"], self.stacked["n_atoms"].tolist(), strict=True))

    def _find(self, counts: torch.Tensor, i: int) -> slice:
        """Where the numbers of molecule ``i`` stand."""
        if id(counts) not in self._ends:
            self._ends[id(counts)] = [0, *torch.cumsum(counts, 0).tolist()]
        begin, end = self._ends[id(counts)][i : i + 2]
        return slice(begin, end)


def count_atoms(topologies: collections.abc.Mapping[str, TensorTopology]) -> dict[str, int]:
    """The number of atoms of each molecule, by mapped SMILES."""
    if isinstance(topologies, StackedTopologies):
        return topologies.count_atoms()
    return {smiles: topology.n_atoms for smiles, topology in topologies.items()}


def get_connectivity_keys(topologies: collections.abc.Mapping[str, TensorTopology]) -> dict[str, str]:
    """The connectivity keys that a file has of its molecules, by mapped SMILES; none where it has none."""
    if not isinstance(topologies, StackedTopologies) or "connectivity" not in topologies.stacked:
        return {}
    return dict(zip(topologies, topologies.stacked["connectivity"], strict=True))


# --- what must hold --------------------------------------------------------------------------------------------------


def check_stacked(stacked: collections.abc.Mapping[str, typing.Any], force_field: TensorForceField) -> None:
    """Makes sure that stacked topologies mean something: counts add up, and every index has something to point at.

    Args:
        stacked: what a file holds, whoever wrote it.
        force_field: the parameters that the topologies refer to, itself in order.

    Raises:
        KeyError: a field is missing.
        ValueError: something does not fit; the message says which field.
    """
    smiles = stacked["smiles"]
    if not isinstance(smiles, list) or not all(isinstance(one, str) for one in smiles):
        raise ValueError("smiles: no list of text")
    if len(set(smiles)) < len(smiles):
        raise ValueError("smiles: a molecule is there twice")
    keys = stacked.get("connectivity", smiles)
    if not isinstance(keys, list) or len(keys) != len(smiles) or not all(isinstance(one, str) for one in keys):
        raise ValueError("connectivity: no text for each molecule")
    potentials = force_field.potentials_by_type
    if list(stacked["parameters"]) != list(potentials):
        raise ValueError(f"topologies have {list(stacked['parameters'])}, the force field {list(potentials)}")
    n_atoms = _check_counts(stacked, "n_atoms", len(smiles), "atomic_nums", ())
    n_bonds = _check_counts(stacked, "n_bonds", len(smiles), "bond_idxs", (2,))
    total_atoms, total_bonds = len(stacked["atomic_nums"]), len(stacked["bond_idxs"])
    _check_indices("atomic_nums", stacked["atomic_nums"], (total_atoms,), MAX_ATOMIC_NUMBER + 1, least=1)
    _check_tensor("formal_charges", stacked["formal_charges"], (total_atoms,))
    _check_indices("bond_idxs", stacked["bond_idxs"], (total_bonds, 2), n_atoms.repeat_interleave(n_bonds)[:, None])
    _check_tensor("bond_orders", stacked["bond_orders"], (total_bonds,))
    for potential in force_field.potentials:
        _check_maps(potential, stacked["parameters"][potential.type], n_atoms)


def _check_maps(
    potential: TensorPotential, fields: collections.abc.Mapping[str, typing.Any], n_atoms: torch.Tensor
) -> None:
    """The stacked maps of one type."""
    type_, is_nonbonded = potential.type, potential.type in NONBONDED_TYPES
    count, counted, widths = _describe_maps(type_)
    width = widths[counted] or 1
    counts = _check_counts(fields, count, len(n_atoms), counted, (width,))
    total = len(fields[counted])
    _check_indices(f"{type_} {counted}", fields[counted], (total, width), n_atoms.repeat_interleave(counts)[:, None])
    n_parameters = int(n_atoms.sum()) if is_nonbonded else total
    _check_indices(f"{type_} parameter_idxs", fields["parameter_idxs"], (n_parameters,), len(potential.parameters))
    if is_nonbonded:
        n_scales = 0 if potential.attributes is None else len(potential.attributes)
        _check_indices(f"{type_} exclusion_scale_idxs", fields["exclusion_scale_idxs"], (total, 1), n_scales)


def _check_tensor(name: str, tensor: typing.Any, shape: tuple[int, ...]) -> None:
    """Such a tensor has its numbers in the file one after the other, so that it is no larger than it looks."""
    if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.int64 or not tensor.is_contiguous():
        raise ValueError(f"{name}: no tensor of int64, one number after the other")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name}: has shape {tuple(tensor.shape)}, expected {shape}")


def _check_counts(
    fields: collections.abc.Mapping[str, typing.Any], name: str, n: int, counted: str, width: tuple[int, ...]
) -> torch.Tensor:
    """Counts of ``n`` molecules that add up to the length of what they count, ``shape=(length, *width)``."""
    counts, tensor = fields[name], fields[counted]
    _check_tensor(name, counts, (n,))
    total = len(tensor) if isinstance(tensor, torch.Tensor) and tensor.ndim else 0
    _check_tensor(counted, tensor, (total, *width))
    if (n and not 0 <= int(counts.min()) <= int(counts.max()) <= total) or int(counts.sum()) != total:
        raise ValueError(f"{name}: counts do not add up to the {total} of {counted}")
    return counts


def _check_indices(
    name: str, tensor: typing.Any, shape: tuple[int, ...], limit: int | torch.Tensor, least: int = 0
) -> None:
    _check_tensor(name, tensor, shape)
    if tensor.numel() and (int(tensor.min()) < least or bool((tensor >= limit).any())):
        raise ValueError(f"{name}: holds {int(tensor.min())} to {int(tensor.max())}, some of them out of range")
