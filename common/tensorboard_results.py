"""What TensorBoard shows of a finished run beside its curves: hyperparameters, a table of errors, parity plots."""

import io
import os
import pathlib
import typing

import matplotlib.image
import numpy
from matplotlib.figure import Figure
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from common.evaluation import Row, evaluate_here, index_data
from common.figures import draw_parity
from common.metrics import compute_metrics, sum_over_entries
from common.pass_settings import PassSettings
from common.plots import render_png
from common.tensors import ParameterizedMolecules
from common.verdict import ENERGY_UNIT, FORCE_UNIT, format_number

MAX_CONFORMERS = 2_000
"""About how many conformers are evaluated for the parity plots: enough to see, and a matter of seconds."""

FOCUS_ORDER = ("test", "validation", "train")

_PARTS = ("loss", "rmse_energy", "rmse_forces")


def log_results(
    folder: pathlib.Path,
    settings: typing.Mapping[str, typing.Any],
    splits: typing.Mapping[str, str],
    losses: typing.Mapping[str, typing.Mapping[str, typing.Mapping[str, float]]],
    data: str | os.PathLike,
    candidates: typing.Mapping[str, ParameterizedMolecules],
    pass_settings: PassSettings,
) -> None:
    """Adds the results of a run to its TensorBoard events.

    Args:
        folder: the run folder.
        settings: what the run was asked to do, e.g. ``n_epochs``; plain values become hyperparameters.
        splits: the split of each mapped SMILES.
        losses: by split and candidate, what ``common.runs.describe_losses`` gives.
        data: folder of data sets.
        candidates: "initial" and "fitted", and others if there are any, in this order.
        pass_settings: which conformers count.
    """
    n_epochs = settings["n_epochs"]
    with SummaryWriter(str(folder), filename_suffix=".results") as writer:
        metrics = {f"{part}/{split}": of["fitted"][part] for split, of in losses.items() for part in _PARTS}
        for summary in hparams(flatten_settings(settings), metrics):
            writer.file_writer.add_summary(summary)
        for split, of in losses.items():
            if split == "test":  # the curves of the others are there
                for part in _PARTS:
                    writer.add_scalar(f"{part}/{split}", of["fitted"][part], n_epochs)
        writer.add_text("errors", format_errors(losses), n_epochs)
        for tag, step, image in _draw_images(splits, data, candidates, pass_settings, n_epochs):
            writer.add_image(tag, image, step, dataformats="HWC")


def flatten_settings(settings: typing.Mapping[str, typing.Any]) -> dict[str, bool | int | float | str]:
    """Nested settings as names with slashes and values that the hparams tab takes; versions are left out."""
    flat: dict[str, bool | int | float | str] = {}
    for name, value in settings.items():
        if name == "versions":
            continue
        if isinstance(value, typing.Mapping) and value:
            flat |= {f"{name}/{key}": one for key, one in flatten_settings(value).items()}
        else:
            flat[name] = value if isinstance(value, bool | int | float | str) else str(value)
    return flat


def format_errors(losses: typing.Mapping[str, typing.Mapping[str, typing.Mapping[str, float]]]) -> str:
    """The errors of every split and candidate as a table in Markdown."""
    lines = [
        f"| split | force field | energy [{ENERGY_UNIT}] | force [{FORCE_UNIT}] | loss |",
        "| --- | --- | ---: | ---: | ---: |",
    ]
    for split, of in losses.items():
        for name, figures in of.items():
            cells = [split, name, *(format_number(figures[part]) for part in ("rmse_energy", "rmse_forces", "loss"))]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "Energy and force: roots of the mean over entries that the loss is made of."])


def _draw_images(
    splits: typing.Mapping[str, str],
    data: str | os.PathLike,
    candidates: typing.Mapping[str, ParameterizedMolecules],
    settings: PassSettings,
    n_epochs: int,
) -> typing.Iterator[tuple[str, int, numpy.ndarray]]:
    """Parity plots: the slider of an image goes from the initial to the fitted force field."""
    rows = index_data(data, candidates, lambda smiles: splits.get(smiles, "new")).rows
    focus = next(split for split in (*FOCUS_ORDER, "new") if any(row.split == split for row in rows))
    chosen = _thin([row for row in rows if row.split == focus])
    evaluation = evaluate_here(data, chosen, candidates, settings)
    errors = sum_over_entries(evaluation)
    summary = {"focus": focus, "groups": compute_metrics(errors), "drawn": evaluation.names}
    for drawing in draw_parity(evaluation, errors, summary):
        for name, step in (("initial", 0), ("fitted", n_epochs)):
            if drawing.name.endswith(f"-{name}"):
                tag = f"{drawing.name.removesuffix(f'-{name}')}/{focus}"
                yield tag, step, _to_pixels(drawing.figure)


def _thin(rows: list[Row]) -> list[Row]:
    """Evenly spread rows with about MAX_CONFORMERS conformers."""
    stride = max(1, round(sum(row.n_confs for row in rows) / MAX_CONFORMERS))
    return rows[::stride]


def _to_pixels(figure: Figure) -> numpy.ndarray:
    """Red, green and blue of every pixel, ``shape=(height, width, 3)`` uint8."""
    pixels = matplotlib.image.imread(io.BytesIO(render_png(figure)))
    return (255.0 * pixels[..., :3]).round().astype(numpy.uint8)
