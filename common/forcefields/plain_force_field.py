"""A force field as plain dicts, lists, text and tensors: what a file holds of it, and what must hold of that.

The fields of a potential are those of ``TensorPotential``, name for name, but for the keys of its rows, of which there
may be one for each atom of all molecules::

    {"potentials": [{"type": "Bonds", "fn": "k/2*(r-length)**2", "parameters": (n, n_cols) float64,
                     "parameter_keys": {"ids": [...], "id_idxs": (n,) int64, "mults": (n,) int64},
                     "parameter_cols": [...], "parameter_units": [...],
                     "attributes": (n_attributes,) float64 or None, "attribute_cols": ..., "attribute_units": ...},
                    ...]}

The key of row i is ``ids[id_idxs[i]]`` and ``mults[i]``, or no number where that is -1.
"""

import collections.abc
import sys
import typing

import torch

from common.forcefields.tensors import ParameterKey, TensorForceField, TensorPotential
from common.forcefields.terms import ENERGY_FUNCTIONS, NONBONDED_TYPES, PARAMETER_UNITS

MAX_MULT = 1 << 31


def make_plain_force_field(force_field: TensorForceField) -> dict[str, typing.Any]:
    """The force field in plain values."""
    return {"potentials": [_make_plain_potential(potential) for potential in force_field.potentials]}


def _make_plain_potential(potential: TensorPotential) -> dict[str, typing.Any]:
    plain: dict[str, typing.Any] = {
        name: list(value) if isinstance(value, tuple) else value for name, value in vars(potential).items()
    }
    for name in ("parameters", "attributes"):  # a fit may leave them as views of something larger, or with gradients
        if plain[name] is not None:
            plain[name] = plain[name].detach().clone(memory_format=torch.contiguous_format)
    places: dict[str, int] = {}
    id_idxs = [places.setdefault(key.id, len(places)) for key in potential.parameter_keys]
    mults = [-1 if key.mult is None else key.mult for key in potential.parameter_keys]
    plain["parameter_keys"] = {
        "ids": [sys.intern(id_) for id_ in places],  # text that is one object is written once
        "id_idxs": torch.tensor(id_idxs, dtype=torch.int64),
        "mults": torch.tensor(mults, dtype=torch.int64),
    }
    return plain


def read_plain_force_field(plain: collections.abc.Mapping[str, typing.Any]) -> TensorForceField:
    """The force field that a file holds, whoever wrote it.

    Raises:
        KeyError: a field is missing.
        ValueError: a type of potential is unknown or there twice, or its values do not fit or are not finite.
    """
    potentials = tuple(_read_plain_potential(potential) for potential in plain["potentials"])
    types = [potential.type for potential in potentials]
    if len(set(types)) < len(types):
        raise ValueError(f"a type of potential is there twice: {types}")
    return TensorForceField(potentials)


def _read_plain_potential(plain: collections.abc.Mapping[str, typing.Any]) -> TensorPotential:
    type_ = plain["type"]
    if type_ not in PARAMETER_UNITS or plain["fn"] != ENERGY_FUNCTIONS[type_]:
        raise ValueError(f"potential {type_!r}, {plain['fn']!r}: this energy term is not known")
    cols, units = plain["parameter_cols"], plain["parameter_units"]
    if dict(zip(cols, units, strict=True)) != PARAMETER_UNITS[type_] or len(cols) > len(PARAMETER_UNITS[type_]):
        raise ValueError(f"{type_}: has columns {cols} in {units}, expected {PARAMETER_UNITS[type_]}")
    keys = _read_keys(type_, plain["parameter_keys"])
    _check_values(f"{type_} parameters", plain["parameters"], (len(keys), len(cols)))
    attributes, names, attribute_units = (plain[f"attribute{end}"] for end in ("s", "_cols", "_units"))
    if attributes is not None:
        _check_values(f"{type_} attributes", attributes, (len(names),))
        if len(attribute_units) != len(names):
            raise ValueError(f"{type_}: {len(attribute_units)} units for {len(names)} attributes")
    elif type_ in NONBONDED_TYPES:
        raise ValueError(f"{type_}: has no attributes, which hold its scales")
    return TensorPotential(
        type=type_,
        fn=plain["fn"],
        parameters=plain["parameters"],
        parameter_keys=keys,
        parameter_cols=tuple(cols),
        parameter_units=tuple(units),
        attributes=attributes,
        attribute_cols=None if attributes is None else tuple(names),
        attribute_units=None if attributes is None else tuple(attribute_units),
    )


def _read_keys(type_: str, plain: collections.abc.Mapping[str, typing.Any]) -> tuple[ParameterKey, ...]:
    ids, id_idxs, mults = plain["ids"], plain["id_idxs"], plain["mults"]
    if not isinstance(ids, list) or not all(isinstance(id_, str) for id_ in ids):
        raise ValueError(f"{type_} ids: no list of text")
    for name, tensor, least, limit in (("id_idxs", id_idxs, 0, len(ids)), ("mults", mults, -1, MAX_MULT)):
        if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.int64 or tensor.shape != (len(id_idxs),):
            raise ValueError(f"{type_} {name}: no tensor of int64, one for each row")
        if tensor.numel() and not least <= int(tensor.min()) <= int(tensor.max()) < limit:
            raise ValueError(f"{type_} {name}: some are out of range")
    named = (ids[i] for i in id_idxs.tolist())
    return tuple(map(ParameterKey, named, (None if mult < 0 else mult for mult in mults.tolist())))


def _check_values(name: str, tensor: typing.Any, shape: tuple[int, ...]) -> None:
    if not isinstance(tensor, torch.Tensor) or tensor.dtype != torch.float64 or not tensor.is_contiguous():
        raise ValueError(f"{name}: no tensor of float64, one number after the other")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name}: has shape {tuple(tensor.shape)}, expected {shape}")
    if not bool(tensor.isfinite().all()):
        raise ValueError(f"{name}: a value is not finite")
