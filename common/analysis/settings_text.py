"""The trained columns of a run in words."""

import collections.abc
import typing


def describe_columns(columns: collections.abc.Mapping[str, collections.abc.Mapping[str, typing.Any]]) -> str:
    """How the columns of a type are trained, e.g. "k ≥ 0, scale 0.01, prior 100; length 0 to 5, prior 0.05"."""
    return "; ".join(
        ", ".join([f"{name}{_describe_limits(one)}", *_describe_widths(one)]) for name, one in columns.items()
    )


def _describe_limits(column: collections.abc.Mapping[str, typing.Any]) -> str:
    lower, upper = column.get("lower"), column.get("upper")
    if lower is None or upper is None:
        return "" if lower is upper else f" ≥ {lower:.4g}" if upper is None else f" ≤ {upper:.4g}"
    return f" {lower:.4g} to {upper:.4g}"


def _describe_widths(column: collections.abc.Mapping[str, typing.Any]) -> list[str]:
    widths = (("scale", column.get("scale", 1.0), 1.0), ("prior", column.get("prior"), None))
    return [f"{name} {value:g}" for name, value, default in widths if value != default]
