"""What stage 033 found: one record for metrics.json, the console and the page."""

import collections.abc
import math
import pathlib
import typing

from common.reporting.pages import Picture, render_page

TEMPLATE = pathlib.Path(__file__).parent / "templates" / "rollouts.html"


def describe_training(record: collections.abc.Mapping[str, typing.Any]) -> str:
    """How a learned potential came about, in a few words."""
    further, config = record.get("further"), record.get("config")
    if not further or not config:
        return "a sum over sites"
    method = {"trajectory": "trajectory matching", "forces": "force matching"}.get(further["method"], further["method"])
    window = f", windows of {config['batch_length']} frames" if further["method"] == "trajectory" else ""
    stride = f", every {further['frame_stride']}th frame" if further["frame_stride"] > 1 else ""
    return f"{method}, inputs {further['inputs']}, {config['nn_depth']} x {config['nn_width']}{window}{stride}"


def list_headlines(metrics: collections.abc.Mapping[str, typing.Any]) -> list[str]:
    """The lines that are printed and stand first in the report."""
    lines = []
    for name, own in metrics["candidates"].items():
        parts = []
        if "parity" in own:
            parity = own["parity"]
            parts.append(
                f"U within {parity['energy_rmse_kt']:.2f} kT (its spread is {parity['energy_spread_kt']:.2f}), forces "
                f"within {100.0 * parity['force_relative']:.0f} %"
            )
        if "horizon" in own:
            parts.append(
                f"separations within {own['horizon']['short']:.3g} {metrics['units'][0]} after "
                f"{metrics['short_time']:g} {metrics['units'][2]}"
            )
        stability = own["stability"]
        parts.append(
            f"{'bounded' if stability['is_bounded'] else 'NOT bounded'} over {stability['time']:g} "
            f"{metrics['units'][2]}, energy within {stability['energy_error_kt']:.3f} kT"
        )
        lines.append(f"{name}: {'; '.join(parts)}")
    for name, crossover in metrics["costs"]["crossovers"].items():
        n_sites = metrics["n_sites"]
        compared = "cheaper" if crossover < n_sites else "dearer"
        lines.append(
            f"{name}: costs as much as {crossover:.0f} sites a body: {compared} than the sum over its {n_sites} sites"
            if math.isfinite(crossover)
            else f"{name}: costs more than any body that was timed"
        )
    return lines


def render_report(
    metrics: collections.abc.Mapping[str, typing.Any],
    pictures: collections.abc.Mapping[str, Picture],
    files: collections.abc.Sequence[str],
    title: str,
) -> str:
    """The page as HTML.

    Args:
        metrics: what metrics.json holds; no number in the report comes from anywhere else.
        pictures: by section; sections without one are left out.
        files: to link to.
        title: of the page.
    """
    return render_page(
        TEMPLATE, metrics=metrics, pictures=pictures, files=files, title=title, headlines=list_headlines(metrics)
    )
