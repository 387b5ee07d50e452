"""Which parameters are trained, on what scale and within what limits."""

import collections.abc
import dataclasses
import math
import typing

import torch

from common.forcefields.tensors import TensorForceField
from common.forcefields.terms import TRAINABLE_COLUMNS
from common.reporting.console import suggest_name


@dataclasses.dataclass(frozen=True)
class Column:
    """How one column of parameters is trained.

    Attributes:
        scale: the optimiser sees value * scale, so that all parameters have similar magnitudes.
        lower, upper: limits of the value, in the column's unit; None for no limit.
        prior: width of the Gaussian prior, in the column's unit: how far the value may well lie from its centre; None
            for no prior.
    """

    __pydantic_config__: typing.ClassVar[dict[str, typing.Any]] = {"extra": "forbid", "allow_inf_nan": False}

    scale: float = 1.0
    lower: float | None = None
    upper: float | None = None
    prior: float | None = None

    def __post_init__(self):
        if not (math.isfinite(self.scale) and self.scale > 0.0):
            raise ValueError(f"scale must be greater than 0, not {self.scale}")
        if self.prior is not None and not (math.isfinite(self.prior) and self.prior > 0.0):
            raise ValueError(f"prior must be greater than 0 (a width), not {self.prior}; None is no prior")
        if self.lower is not None and self.upper is not None and not self.lower < self.upper:
            raise ValueError(f"lower must be less than upper, not {self.lower} and {self.upper}")


TrainedColumns = collections.abc.Mapping[str, collections.abc.Mapping[str, Column]]
"""By type and column name."""


def check_columns(
    columns: collections.abc.Mapping[str, collections.abc.Iterable[str]], may_be_empty: bool = False
) -> None:
    """Whether types and columns can be trained at all, whatever the force field.

    Args:
        columns: by type the names of columns.
        may_be_empty: whether it is no error that there is no column.

    Raises:
        ValueError: one cannot, or there are none; the message says which there are.
    """
    for type_, wanted in columns.items():
        if type_ not in TRAINABLE_COLUMNS:
            raise ValueError(f"type {type_!r} cannot be trained{suggest_name(type_, TRAINABLE_COLUMNS)}")
        for name in wanted:
            if name not in TRAINABLE_COLUMNS[type_]:
                raise ValueError(
                    f"column {name!r} of {type_} cannot be trained{suggest_name(name, TRAINABLE_COLUMNS[type_])}"
                )
    if not may_be_empty and not any(columns.values()):
        raise ValueError("nothing is trained: name a type and its columns, e.g. Bonds with k and length")


@dataclasses.dataclass(frozen=True)
class _Block:
    """The trained values of one type: where they stand in its flattened parameters, and in the vector of all."""

    type: str
    places: torch.Tensor
    start: int
    stop: int


@dataclasses.dataclass(frozen=True)
class Trainable:
    """The trained parameters of a force field as one vector.

    Attributes:
        force_field: where the other values come from.
        names: type, row and column name of each trained value.
        start: the values in ``force_field``, in their own units, ``shape=(n_values,)``.
        scales, lower, upper: ``shape=(n_values,)``, of the vector; limits are on the values times their scales.
    """

    force_field: TensorForceField
    names: tuple[tuple[str, int, str], ...]
    start: torch.Tensor
    scales: torch.Tensor
    lower: torch.Tensor
    upper: torch.Tensor
    blocks: tuple[_Block, ...]

    @property
    def is_root(self) -> torch.Tensor:
        """Where the loss is smooth in the square root of the value alone: ε, of which mixing takes the root."""
        return torch.tensor([(type_, name) == ("vdW", "epsilon") for type_, _, name in self.names])

    def to_values(self, force_field: TensorForceField) -> torch.Tensor:
        """The scaled, clamped vector of the trained parameters of ``force_field``, ``shape=(n_values,)``."""
        return self.clamp(_gather(force_field, self.blocks) * self.scales)

    def to_force_field(self, values: torch.Tensor) -> TensorForceField:
        """The force field with these trained values; differentiable. Values that have not moved keep every bit."""
        unscaled = values / self.scales
        has_stayed = values.detach() == self.start * self.scales
        unscaled = unscaled + torch.where(has_stayed, self.start - unscaled.detach(), 0.0)
        potentials = self.force_field.potentials_by_type
        parameters = {}
        for block in self.blocks:
            table = potentials[block.type].parameters
            flat = table.reshape(-1).index_copy(0, block.places, unscaled[block.start : block.stop])
            parameters[block.type] = flat.reshape(table.shape)
        return self.force_field.replace_parameters(parameters)

    def clamp(self, values: torch.Tensor) -> torch.Tensor:
        """The vector within its limits."""
        return values.clamp(min=self.lower, max=self.upper)


def build_trainable(
    force_field: TensorForceField,
    columns: TrainedColumns,
    include: collections.abc.Mapping[str, collections.abc.Collection[str]] | None = None,
    exclude: collections.abc.Mapping[str, collections.abc.Collection[str]] | None = None,
) -> Trainable:
    """Chooses the trained parameters.

    Args:
        force_field: the starting values.
        columns: the trained columns of each type; types that are not named stay as they are, and so do types that the
            force field lacks.
        include: by type, the only SMIRKS to train; all where a type is not named.
        exclude: by type, SMIRKS that stay as they are.

    Raises:
        ValueError: a column or SMIRKS is unknown, or nothing is left to train.
    """
    include, exclude = include or {}, exclude or {}
    names: list[tuple[str, int, str]] = []
    settings: list[Column] = []
    blocks: list[_Block] = []
    for type_, wanted in columns.items():
        potential = force_field.potentials_by_type.get(type_)
        if potential is None:
            continue
        unknown = set(wanted) - set(potential.parameter_cols)
        if unknown:
            raise ValueError(f"{type_} has no column {min(unknown)!r}, only {', '.join(potential.parameter_cols)}")
        ids = [key.id for key in potential.parameter_keys]
        for smirks in (*include.get(type_, ()), *exclude.get(type_, ())):
            if smirks not in ids:
                raise ValueError(f"{type_} has no parameter {smirks}, named in INCLUDE or EXCLUDE")
        rows = [
            row
            for row, smirks in enumerate(ids)
            if (type_ not in include or smirks in include[type_]) and smirks not in exclude.get(type_, ())
        ]
        chosen = [(row, col) for row in rows for col in potential.parameter_cols if col in wanted]
        n_cols = len(potential.parameter_cols)
        places = torch.tensor([row * n_cols + potential.parameter_cols.index(col) for row, col in chosen])
        blocks.append(_Block(type_, places.to(torch.int64), len(names), len(names) + len(chosen)))
        names += [(type_, row, col) for row, col in chosen]
        settings += [wanted[col] for _, col in chosen]
    if not names:
        raise ValueError("nothing to train: no parameter is left by the columns, INCLUDE and EXCLUDE that were chosen")

    def collect(get: collections.abc.Callable[[Column], float]) -> torch.Tensor:
        return torch.tensor([get(column) for column in settings], dtype=torch.float64)

    scales = collect(lambda column: column.scale)
    return Trainable(
        force_field=force_field,
        names=tuple(names),
        start=_gather(force_field, blocks),
        scales=scales,
        lower=collect(lambda column: -torch.inf if column.lower is None else column.lower) * scales,
        upper=collect(lambda column: torch.inf if column.upper is None else column.upper) * scales,
        blocks=tuple(blocks),
    )


def _gather(force_field: TensorForceField, blocks: collections.abc.Sequence[_Block]) -> torch.Tensor:
    potentials = force_field.potentials_by_type
    return torch.cat([potentials[block.type].parameters.reshape(-1)[block.places] for block in blocks]).detach()
