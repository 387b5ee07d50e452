"""What TensorBoard shows of a finished run beside its curves: hyperparameters, a table of errors, parity plots."""

import collections.abc
import dataclasses
import io
import os
import pathlib
import typing

import matplotlib.image
import numpy
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from common.analysis.error_statistics import compute_group_errors, sum_errors
from common.analysis.predictions import index_data, predict_here
from common.analysis.records import find_group
from common.analysis.report_figures import draw_parity
from common.analysis.words import describe_columns
from common.data.splits import SplitRow, SplitSettings
from common.data.weighting import ConformerSelection
from common.forcefields.tensors import ParameterizedMolecules
from common.reporting.numbers import ENERGY_UNIT, FORCE_UNIT, format_number
from common.reporting.plots import render_png
from common.runs.names import flatten_settings

MAX_CONFORMERS = 2_000
"""About how many conformers are evaluated for the parity plots: enough to see, and a matter of seconds."""

FOCUS_ORDER = ("test", "validation", "train")

_STATISTICS = (
    *("data", "parameters", "device"),
    *(field.name for record in (SplitSettings, ConformerSelection) for field in dataclasses.fields(record)),
)
"""What determines the statistics of a fit."""

_UNSET = ("None", "{}", "[]")

_PARTS = ("loss", "rmse_energy", "rmse_forces")


def log_results(
    folder: pathlib.Path,
    settings: collections.abc.Mapping[str, typing.Any],
    splits: collections.abc.Mapping[str, str],
    losses: collections.abc.Mapping[str, collections.abc.Mapping[str, collections.abc.Mapping[str, float]]],
    data: str | os.PathLike,
    candidates: collections.abc.Mapping[str, ParameterizedMolecules],
    conformers: ConformerSelection,
    last_epoch: int,
) -> None:
    """Adds the results of a run to its TensorBoard events.

    Args:
        folder: the run folder.
        settings: what the run was asked to do; they become hyperparameters.
        splits: the split of each mapped SMILES.
        losses: by candidate, what ``common.fitting.outputs.compute_losses`` gives.
        data: folder of data sets.
        candidates: "initial" and "fitted", and others if there are any, in this order.
        conformers: which count.
        last_epoch: where the curves of the run end.
    """
    with SummaryWriter(str(folder), filename_suffix=".results") as writer:
        metrics = {f"{part}/{split}": of[part] for split, of in losses["fitted"].items() for part in _PARTS}
        for summary in hparams(list_hyperparameters(settings), metrics):
            writer.file_writer.add_summary(summary)
        writer.add_text("errors", format_errors(losses), last_epoch)
        for tag, step, image in _draw_images(splits, data, candidates, conformers, last_epoch):
            writer.add_image(tag, image, step, dataformats="HWC")


def list_hyperparameters(settings: collections.abc.Mapping[str, typing.Any]) -> dict[str, bool | int | float | str]:
    """One plain value for each setting that is set; what is trained is one for each type.

    The tab has a column for each and shows the first five by name. So what determines the statistics of the fit (the
    settings of the pass, and the paths of data and parameters) goes by "statistics/...", behind method and priors.
    """
    others = {name: value for name, value in settings.items() if name not in ("trained", *_STATISTICS)}
    statistics = {name: settings[name] for name in _STATISTICS if name in settings}
    flat = flatten_settings(others | {"statistics": statistics})
    trained = {f"trained/{type_}": describe_columns(columns) for type_, columns in settings["trained"].items()}
    return {name: value for name, value in flat.items() if value not in _UNSET} | trained


def format_errors(
    losses: collections.abc.Mapping[str, collections.abc.Mapping[str, collections.abc.Mapping[str, float]]],
) -> str:
    """The errors of every split and candidate as a table in Markdown."""
    lines = [
        f"| split | force field | energy [{ENERGY_UNIT}] | force [{FORCE_UNIT}] | loss |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for split in losses["fitted"]:
        for name, of in losses.items():
            cells = [split, name, *(format_number(of[split][part]) for part in ("rmse_energy", "rmse_forces", "loss"))]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Energy and force: roots of the mean over entries that the loss is made of."])


def _draw_images(
    splits: collections.abc.Mapping[str, str],
    data: str | os.PathLike,
    candidates: collections.abc.Mapping[str, ParameterizedMolecules],
    conformers: ConformerSelection,
    last_epoch: int,
) -> collections.abc.Iterator[tuple[str, int, numpy.ndarray]]:
    """Parity plots: the slider of an image goes from the initial to the fitted force field."""
    rows = index_data(data, candidates, lambda smiles: splits.get(smiles, "new")).rows
    focus = next(split for split in (*FOCUS_ORDER, "new") if any(row.split == split for row in rows))
    chosen = _thin([row for row in rows if row.split == focus])
    predictions = predict_here(data, chosen, candidates, conformers)
    errors = sum_errors(predictions)
    group = find_group(compute_group_errors(errors), focus)
    steps = {"initial": 0, "fitted": last_epoch}
    for quantity, figures in draw_parity(predictions, errors, group).items():
        for name, report_figure in zip(predictions.names, figures, strict=bool(figures)):  # none without such data
            if name in steps:
                yield f"parity-{quantity}/{focus}", steps[name], _to_pixels(report_figure.figure)


def _thin(rows: list[SplitRow]) -> list[SplitRow]:
    """Evenly spread rows with about MAX_CONFORMERS conformers."""
    stride = max(1, round(sum(row.n_confs for row in rows) / MAX_CONFORMERS))
    return rows[::stride]


def _to_pixels(figure: Figure) -> numpy.ndarray:
    """Red, green and blue of every pixel, ``shape=(height, width, 3)`` uint8."""
    pixels = matplotlib.image.imread(io.BytesIO(render_png(figure)))
    return (255.0 * pixels[..., :3]).round().astype(numpy.uint8)
