"""Force field and topologies as tensors, and the ``.pt`` file that carries them from stage to stage.

The records follow the smee data model name for name (TensorForceField, TensorPotential, TensorTopology), with one
difference: where smee holds a sparse assignment matrix, these hold ``parameter_idxs``, the row of the parameter
that each interaction uses. Units: Angstrom, kcal/mol, radian, elementary charge. Values are float64, indices int64.
"""

import contextlib
import dataclasses
import gc
import hashlib
import itertools
import os
import pathlib
import typing

import torch

from common.files.atomic import replace_atomically
from common.files.tensor_file import RefusedError, read_tensors, write_tensors

FORMAT = 1
"""Version of the ``.pt`` layout that this code writes and reads."""

VALENCE_TYPES = ("Bonds", "Angles", "ProperTorsions", "ImproperTorsions")
NONBONDED_TYPES = ("vdW", "Electrostatics")

ENERGY_FUNCTIONS = {
    "Bonds": "k/2*(r-length)**2",
    "Angles": "k/2*(theta-angle)**2",
    "ProperTorsions": "k*(1+cos(periodicity*theta-phase))",
    "ImproperTorsions": "k*(1+cos(periodicity*theta-phase))",
    "vdW": "4*epsilon*((sigma/r)**12-(sigma/r)**6)",
    "Electrostatics": "coul",
}
"""The ``fn`` of each type of potential, spelled as smee spells it."""

PARAMETER_UNITS = {
    "Bonds": {"k": "kilocalorie / mole / angstrom ** 2", "length": "angstrom"},
    "Angles": {"k": "kilocalorie / mole / radian ** 2", "angle": "radian"},
    "ProperTorsions": {"k": "kilocalorie / mole", "periodicity": "", "phase": "radian", "idivf": ""},
    "ImproperTorsions": {"k": "kilocalorie / mole", "periodicity": "", "phase": "radian", "idivf": ""},
    "vdW": {"epsilon": "kilocalorie / mole", "sigma": "angstrom"},
    "Electrostatics": {"charge": "elementary_charge"},
}
"""The columns of each type, in order, with their units ("" is dimensionless)."""


class ParameterKey(typing.NamedTuple):
    """What names one row of parameters: its SMIRKS (or charge source) and, where one SMIRKS has several, which."""

    id: str
    mult: int | None = None


@dataclasses.dataclass(frozen=True)
class TensorPotential:
    """The parameters of one SMIRNOFF section.

    Attributes:
        type: the section, e.g. "Bonds".
        fn: the energy function as a formula.
        parameters: ``shape=(n_parameters, n_cols)`` float64, in the units of ``parameter_units``.
        parameter_keys: one key for each row.
        parameter_cols: the names of the columns.
        parameter_units: the unit of each column.
        attributes: ``shape=(n_attributes,)`` float64 values of the whole section, such as 1-4 scales, or None.
        attribute_cols, attribute_units: their names and units, or None.
    """

    type: str
    fn: str
    parameters: torch.Tensor
    parameter_keys: tuple[ParameterKey, ...]
    parameter_cols: tuple[str, ...]
    parameter_units: tuple[str, ...]
    attributes: torch.Tensor | None = None
    attribute_cols: tuple[str, ...] | None = None
    attribute_units: tuple[str, ...] | None = None

    def column(self, name: str) -> torch.Tensor:
        """One column of ``parameters`` by name, ``shape=(n_parameters,)``."""
        return self.parameters[:, self.parameter_cols.index(name)]

    def attribute(self, name: str) -> torch.Tensor:
        """One attribute by name, a scalar tensor."""
        return self.attributes[self.attribute_cols.index(name)]


@dataclasses.dataclass(frozen=True)
class TensorForceField:
    """All potentials of a force field, by type."""

    potentials: tuple[TensorPotential, ...]

    @property
    def potentials_by_type(self) -> dict[str, TensorPotential]:
        return {potential.type: potential for potential in self.potentials}

    def replace_parameters(self, parameters: dict[str, torch.Tensor]) -> "TensorForceField":
        """A force field with other values: ``parameters[type]`` has the shape of that potential's ``parameters``."""
        return TensorForceField(
            tuple(
                dataclasses.replace(p, parameters=parameters[p.type]) if p.type in parameters else p
                for p in self.potentials
            )
        )


@dataclasses.dataclass(frozen=True)
class ValenceParameterMap:
    """Which atoms a section's interactions join, and which row of parameters each uses.

    Attributes:
        particle_idxs: ``shape=(n_interactions, 2 | 3 | 4)`` int64. For impropers the central atom stands first.
        parameter_idxs: ``shape=(n_interactions,)`` int64. An interaction with several terms occurs several times.
    """

    particle_idxs: torch.Tensor
    parameter_idxs: torch.Tensor


@dataclasses.dataclass(frozen=True)
class NonbondedParameterMap:
    """Which row of parameters each atom uses, and the scaled pairs.

    Attributes:
        parameter_idxs: ``shape=(n_atoms,)`` int64.
        exclusions: ``shape=(n_exclusions, 2)`` int64, pairs one to three bonds apart.
        exclusion_scale_idxs: ``shape=(n_exclusions, 1)`` int64, the attribute that scales each pair.
    """

    parameter_idxs: torch.Tensor
    exclusions: torch.Tensor
    exclusion_scale_idxs: torch.Tensor


ParameterMap = ValenceParameterMap | NonbondedParameterMap


@dataclasses.dataclass(frozen=True)
class TensorTopology:
    """One molecule to which a force field has been applied.

    Attributes:
        atomic_nums: ``shape=(n_atoms,)`` int64.
        formal_charges: ``shape=(n_atoms,)`` int64 [e].
        bond_idxs: ``shape=(n_bonds, 2)`` int64.
        bond_orders: ``shape=(n_bonds,)`` int64.
        parameters: the map of each type of potential.
    """

    atomic_nums: torch.Tensor
    formal_charges: torch.Tensor
    bond_idxs: torch.Tensor
    bond_orders: torch.Tensor
    parameters: dict[str, ParameterMap]

    @property
    def n_atoms(self) -> int:
        return len(self.atomic_nums)


@dataclasses.dataclass(frozen=True)
class ParameterizedMolecules:
    """What stage 002 hands on.

    Attributes:
        force_field: the parameters.
        topologies: by fully mapped SMILES.
        failures: mapped SMILES of every molecule that could not be parameterised, with the reason.
        provenance: plain values: ``force_field`` (file name), ``force_field_sha256``, ``offxml`` (its text),
            ``charge_model``, ``engine``, ``versions`` (program -> version), ``created``.
    """

    force_field: TensorForceField
    topologies: dict[str, TensorTopology]
    failures: dict[str, str]
    provenance: dict[str, typing.Any]


def _potential_to_plain(potential: TensorPotential) -> dict:
    plain = {field.name: getattr(potential, field.name) for field in dataclasses.fields(potential)}
    plain["parameter_keys"] = [key._asdict() for key in potential.parameter_keys]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in plain.items()}


def _potential_from_plain(plain: dict) -> TensorPotential:
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in plain.items()}
    values["parameter_keys"] = tuple(ParameterKey(**key) for key in plain["parameter_keys"])
    return TensorPotential(**values)


def _map_to_plain(parameter_map: ParameterMap) -> dict[str, torch.Tensor]:
    return {field.name: getattr(parameter_map, field.name) for field in dataclasses.fields(parameter_map)}


def _map_from_plain(plain: dict[str, torch.Tensor]) -> ParameterMap:
    return ValenceParameterMap(**plain) if "particle_idxs" in plain else NonbondedParameterMap(**plain)


def _topology_to_plain(topology: TensorTopology) -> dict:
    plain = {field.name: getattr(topology, field.name) for field in dataclasses.fields(topology)}
    plain["parameters"] = {type_: _map_to_plain(map_) for type_, map_ in topology.parameters.items()}
    return plain


def _topology_from_plain(plain: dict) -> TensorTopology:
    parameters = {type_: _map_from_plain(map_) for type_, map_ in plain["parameters"].items()}
    return TensorTopology(**{**plain, "parameters": parameters})


def _share_storage(plain: typing.Any) -> typing.Any:
    """The same nest of dicts with its int64 tensors as views of one buffer.

    ``torch.save`` writes one archive member for each storage: hundreds of thousands of small tensors would make a
    file several times as large and slow to write. A tensor that occurs twice, as exclusions do, is stored once.
    """
    leaves: dict[int, torch.Tensor] = {}

    def collect(value):
        if isinstance(value, dict):
            for item in value.values():
                collect(item)
        elif isinstance(value, torch.Tensor) and value.dtype == torch.int64:
            leaves[id(value)] = value

    collect(plain)
    if not leaves:
        return plain
    buffer = torch.cat([leaf.reshape(-1) for leaf in leaves.values()])
    ends = itertools.accumulate(leaf.numel() for leaf in leaves.values())
    views = {
        key: buffer[end - leaf.numel() : end].view(leaf.shape)
        for (key, leaf), end in zip(leaves.items(), ends, strict=True)
    }

    def rebuild(value):
        if isinstance(value, dict):
            return {name: rebuild(item) for name, item in value.items()}
        return views.get(id(value), value)

    return rebuild(plain)


@contextlib.contextmanager
def _pause_garbage_collection() -> typing.Iterator[None]:
    """Looking through hundreds of thousands of tensors over and over, while more come, costs a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@_pause_garbage_collection()
def save_parameters(path: str | os.PathLike, molecules: ParameterizedMolecules) -> None:
    """Writes a ``.pt`` file of plain dicts, lists, strings and tensors; nothing is at ``path`` until it is whole."""
    plain = {
        "format": FORMAT,
        "force_field": {"potentials": [_potential_to_plain(p) for p in molecules.force_field.potentials]},
        "topologies": _share_storage({s: _topology_to_plain(t) for s, t in molecules.topologies.items()}),
        "failures": dict(molecules.failures),
        "provenance": molecules.provenance,
    }
    with replace_atomically(path) as beside:
        write_tensors(plain, beside)


@_pause_garbage_collection()
def load_parameters(path: str | os.PathLike) -> ParameterizedMolecules:
    """Reads a ``.pt`` file that :func:`save_parameters` wrote.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, holds pickled classes, or is of another format.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; run 002-parameterize.py, or say where its output is")
    try:
        plain = read_tensors(path)
    except RefusedError as error:
        raise ValueError(
            f"{path}: refused, it holds more than plain tensors, text and numbers ({_first_line(error)}); "
            "run 002-parameterize.py to make it anew"
        ) from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: damaged or no .pt file ({_first_line(error)}); run 002-parameterize.py") from error
    if not isinstance(plain, dict) or plain.get("format") != FORMAT:
        found = plain.get("format") if isinstance(plain, dict) else type(plain).__name__
        raise ValueError(f"{path}: format {found!r}, expected {FORMAT}; run 002-parameterize.py to make it anew")
    try:
        molecules = ParameterizedMolecules(
            TensorForceField(tuple(_potential_from_plain(p) for p in plain["force_field"]["potentials"])),
            {smiles: _topology_from_plain(topology) for smiles, topology in plain["topologies"].items()},
            plain["failures"],
            plain["provenance"],
        )
        _check_hash(path, molecules.provenance.get("offxml"), molecules.provenance.get("force_field_sha256"))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: a field is missing or misplaced ({error}); run 002-parameterize.py") from error
    return molecules


def _check_hash(path: pathlib.Path, offxml: str | None, sha256: str | None) -> None:
    """Refuses a file whose force field is not the one it names: fitted values would be written into another's text."""
    if offxml and sha256 and (found := hashlib.sha256(offxml.encode()).hexdigest()) != sha256:
        raise ValueError(
            f"{path}: names a force field of SHA-256 {sha256} and holds one of {found}; run 002-parameterize.py again"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
