"""How far a network's predictions are from what comes next: types by their likelihood, distances by the divergence.

The right distance is no single bin but a narrow Gaussian over all of them, label_b ~ exp(-(d - c_b)² / (0.1 w)), with
c_b the centres of the bins and w the width of one: some ±2 bins. (0.1 w is an area by its place and a length by its
making; it is kept as it is in the models that others have trained.)
"""

import typing

import torch

from common.generators.batches import TrainingBatch
from common.generators.network import GeneratorNetwork, NetworkSettings

LEAST_LABEL_WIDTH = 0.01
"""Below this factor the right distance is the one bin that it falls into."""


class Losses(typing.NamedTuple):
    """Sums, so that the parts of a batch add up.

    Attributes:
        types: of minus the logarithm of the right type's probability, over steps.
        distances: of the divergence of predicted from right distributions, over predicted distances.
        n_steps: how many steps.
        n_distances: how many distances.
    """

    types: torch.Tensor
    distances: torch.Tensor
    n_steps: int
    n_distances: int


def compute_losses(
    network: GeneratorNetwork,
    batch: TrainingBatch,
    conditions: torch.Tensor | None,
    condition_rows: torch.Tensor | None,
    label_width: float = 0.1,
) -> Losses:
    """The losses of a batch.

    Args:
        network: the network.
        batch: what :func:`common.generators.batches.lay_out` gives.
        conditions: features, ``shape=(n, condition_features)``; None for a network without.
        condition_rows: the row of ``conditions`` for each step, ``shape=(n_steps,)``.
        label_width: of the Gaussian, as a factor to the width of a bin; see the module's docstring.
    """
    features = network.compute_features(batch.partial).index_select(0, batch.predicting)
    n_steps = batch.partial.n_steps
    if conditions is None or condition_rows is None:
        conditions = features.new_zeros(1, 0)
        condition_rows = torch.zeros(n_steps, dtype=torch.long, device=features.device)
    type_bias = network.type_head.compute_bias(conditions).index_select(0, condition_rows)
    types = network.predict_types(features, type_bias, batch.predicting_steps, n_steps)
    type_loss = -types.gather(1, batch.next_classes[:, None]).sum()
    steps = batch.predicting_steps.index_select(0, batch.measuring)
    distance_bias = network.distance_head.compute_bias(conditions).index_select(0, condition_rows[steps])
    predicted = network.predict_distances(
        features.index_select(0, batch.measuring), distance_bias, batch.next_classes[steps]
    )
    distance_loss = compute_distance_loss(predicted, batch.distances, network.settings, label_width)
    return Losses(type_loss, distance_loss, n_steps, len(batch.distances))


def compute_distance_loss(
    predicted: torch.Tensor, distances: torch.Tensor, settings: NetworkSettings, label_width: float
) -> torch.Tensor:
    """The sum of the divergences of predicted distributions from those of the right distances.

    Args:
        predicted: logarithms of probabilities, ``shape=(n, n_bins)``.
        distances: [Angstrom] ``shape=(n,)``.
        settings: of the network: the bins.
        label_width: as :func:`compute_losses`.
    """
    width = settings.bin_width
    within = distances.clamp(0.0, settings.max_distance)
    if label_width < LEAST_LABEL_WIDTH:
        bins = torch.floor((within + 0.5 * width) / width).long()
        return -predicted.gather(1, bins[:, None]).sum()
    centres = width * torch.arange(settings.n_bins, device=predicted.device, dtype=predicted.dtype)
    logits = -((within[:, None] - centres) ** 2) / (label_width * width)
    labels = torch.softmax(logits, -1)
    return torch.nn.functional.kl_div(predicted, labels, reduction="sum")
