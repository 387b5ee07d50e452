"""Force field and topologies as tensors: what is handed from stage to stage.

The records follow the smee data model name for name (TensorForceField, TensorPotential, TensorTopology), with one
difference: where smee holds a sparse assignment matrix, these hold ``parameter_idxs``, the row of the parameter
that each interaction uses. Units: Angstrom, kcal/mol, radian, elementary charge. Values are float64, indices int64.
"""

import collections.abc
import dataclasses
import pathlib
import typing

import torch


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
        """One attribute by name, a scalar tensor.

        Raises:
            ValueError: the section has no such attribute.
        """
        if self.attributes is None or name not in (self.attribute_cols or ()):
            raise ValueError(f"{self.type} has no attribute {name!r}")
        return self.attributes[(self.attribute_cols or ()).index(name)]

    def get_scales(self, exclusion_scale_idxs: torch.Tensor) -> torch.Tensor:
        """The attributes that scale excluded pairs, ``shape=(n_exclusions, 1) -> (n_exclusions,)``.

        Raises:
            ValueError: the section has no attributes.
        """
        if self.attributes is None:
            raise ValueError(f"{self.type} has no attributes that scale pairs")
        return self.attributes[exclusion_scale_idxs[:, 0]]


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

    def get_valence_map(self, type_: str) -> ValenceParameterMap:
        """The map of bonds, angles, torsions or impropers.

        Raises:
            ValueError: the type is another.
        """
        map_ = self.parameters[type_]
        if not isinstance(map_, ValenceParameterMap):
            raise ValueError(f"{type_}: expected interactions of a few atoms, found one parameter for each atom")
        return map_

    def get_nonbonded_map(self, type_: str) -> NonbondedParameterMap:
        """The map of Lennard-Jones parameters or charges.

        Raises:
            ValueError: the type is another.
        """
        map_ = self.parameters[type_]
        if not isinstance(map_, NonbondedParameterMap):
            raise ValueError(f"{type_}: expected one parameter for each atom, found interactions of a few atoms")
        return map_


@dataclasses.dataclass(frozen=True)
class ParametersFile:
    """A file of force field and topologies, by its place and by what it holds.

    Attributes:
        path: where it was read from.
        content_hash: SHA-256 of force field and topologies; the same whenever they were made.
    """

    path: pathlib.Path
    content_hash: str


@dataclasses.dataclass(frozen=True)
class ParameterizedMolecules:
    """What stage 002 hands on.

    Attributes:
        force_field: the parameters.
        topologies: by fully mapped SMILES.
        failures: mapped SMILES of every molecule that could not be parameterised, with the reason.
        provenance: plain values: ``force_field`` (file name), ``force_field_sha256``, ``offxml`` (its text),
            ``charge_model``, ``engine``, ``versions`` (program -> version), ``created``.
        origin: the file that the topologies were read from; None where they are in none yet.
        fitted: the file of a fitted force field that the parameters were read from; None where it is the same one.
    """

    force_field: TensorForceField
    topologies: collections.abc.Mapping[str, TensorTopology]
    failures: dict[str, str]
    provenance: dict[str, typing.Any]
    origin: ParametersFile | None = None
    fitted: ParametersFile | None = None

    @property
    def content_hash(self) -> str:
        """Names the force field and the topologies, as the file does that the parameters were read from.

        Raises:
            ValueError: they are in no file yet.
        """
        file = self.fitted or self.origin
        if file is None:
            raise ValueError("these parameters were read from no file that could name them")
        return file.content_hash
