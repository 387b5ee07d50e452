"""The losses against a direct implementation, and what must not change them."""

import numpy
import pytest
import torch

from common.generators.batches import Geometry, build_table, draw_steps, lay_out
from common.generators.losses import compute_distance_loss, compute_losses
from tests.generators.direct import DirectNetwork
from tests.generators.made_up import CONDITIONS, make_geometry, make_network, make_settings, make_table

SMILES = ["OCC=O", "FC(F)C", "C#N", "C"]

LOSS_TOLERANCE = 1e-10  # float64, sums in another order
GRADIENT_TOLERANCE = 1e-9
INVARIANCE_TOLERANCE = 1e-5  # float32: distances of rotated coordinates differ in their last digits


@pytest.fixture
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def make_values(table, random):
    counts = [
        numpy.bincount(table.classes[a:b], minlength=5)
        for a, b in zip(table.atom_starts[:-1], table.atom_starts[1:], strict=True)
    ]
    values = {"gap": random.uniform(0.0, 4.0, (len(table), 1)), "fingerprint": random.normal(size=(len(table), 4))}
    return {**values, "composition": numpy.array(counts, dtype=float)}


@pytest.mark.parametrize(
    ("cutoffs", "conditions"),
    [
        ({}, ()),
        ({"model_cutoff": 2.2, "prediction_cutoff": 1.8}, ()),
        ({"model_cutoff": 3.0, "prediction_cutoff": 2.0}, CONDITIONS),
    ],
    ids=["all within reach", "atoms beyond both cutoffs", "with conditions, some not told"],
)
def test_losses_and_gradients_equal_a_direct_implementation(cutoffs, conditions, float64):
    settings = make_settings(conditions=conditions, **cutoffs)
    network, table = make_network(settings), make_table(SMILES, settings)
    random = numpy.random.default_rng(3)
    values = {name: torch.tensor(one) for name, one in make_values(table, random).items()}
    given = {name: torch.tensor(random.random(len(table)) < 0.6) for name in values}
    steps = draw_steps(table, numpy.arange(len(table)), 0, random)
    assert set(steps.numbers[steps.molecules == 3]) == set(range(10))  # the first step, stops and all

    def embed(molecule, missing):
        if not conditions:
            return torch.zeros(0)
        own = {name: one[molecule : molecule + 1] for name, one in values.items()}
        own["composition"] = torch.tensor(missing, dtype=torch.float64)[None]
        return network.conditioning(own, {name: one[molecule : molecule + 1] for name, one in given.items()})[0]

    types, distances, n_distances = DirectNetwork(network, table, embed).compute_losses(steps)
    parameters = list(network.parameters())
    expected = torch.autograd.grad(types / 7.0 + distances / 3.0, parameters, allow_unused=True)

    batch = lay_out(table, steps, settings)
    told = (None, None)
    if conditions:
        told = network.embed_conditions(values, given, batch.partial.molecules, batch.missing)
    losses = compute_losses(network, batch, *told)
    found = torch.autograd.grad(losses.types / 7.0 + losses.distances / 3.0, parameters, allow_unused=True)
    assert (losses.n_steps, losses.n_distances) == (len(steps), n_distances)
    assert losses.types.item() == pytest.approx(types.item(), rel=LOSS_TOLERANCE)
    assert losses.distances.item() == pytest.approx(distances.item(), rel=LOSS_TOLERANCE)
    for (name, parameter), a, b in zip(network.named_parameters(), found, expected, strict=True):
        a, b = (torch.zeros_like(parameter) if one is None else one for one in (a, b))
        torch.testing.assert_close(a, b, rtol=GRADIENT_TOLERANCE, atol=GRADIENT_TOLERANCE, msg=name)


def test_losses_do_not_depend_on_place_orientation_handedness_or_order():
    settings = make_settings(n_channels=16)
    network = make_network(settings)
    random = numpy.random.default_rng(5)
    molecule = make_geometry("CC(O)C#N")
    rotation, _ = numpy.linalg.qr(random.normal(size=(3, 3)))
    order = random.permutation(len(molecule.numbers))
    images = [
        molecule,
        Geometry(molecule.numbers, molecule.coords @ rotation.T * numpy.sign(numpy.linalg.det(rotation))),
        Geometry(molecule.numbers, molecule.coords * [1.0, 1.0, -1.0]),
        Geometry(molecule.numbers, molecule.coords + numpy.array([100.0, -50.0, 3.0])),
        Geometry(molecule.numbers[order], molecule.coords[order]),
    ]
    found = []
    for image in images:
        table = build_table([image], settings)
        steps = draw_steps(table, numpy.array([0]), 0, numpy.random.default_rng(7))
        losses = compute_losses(network, lay_out(table, steps, settings), None, None)
        found.append([losses.types.item() / losses.n_steps, losses.distances.item() / losses.n_distances])
    numpy.testing.assert_allclose(found, [found[0]] * len(found), rtol=0, atol=INVARIANCE_TOLERANCE)


def test_a_distance_is_its_bin_where_the_label_has_no_width():
    settings = make_settings()
    logits = torch.randn(3, settings.n_bins, generator=torch.Generator().manual_seed(0))
    log_probabilities = torch.log_softmax(logits, -1)
    loss = compute_distance_loss(log_probabilities, torch.tensor([0.0, 10.4 / 30.0, 99.0]), settings, 0.0)
    right = log_probabilities[0, 0] + log_probabilities[1, 10] + log_probabilities[2, -1]
    assert loss.item() == pytest.approx(-right.item())


def test_the_right_answer_costs_nothing_and_is_two_bins_wide_to_either_side():
    settings = make_settings()
    centres = settings.bin_width * torch.arange(settings.n_bins)
    right = torch.log_softmax(-((1.4 - centres) ** 2) / (0.1 * settings.bin_width), -1)
    loss = compute_distance_loss(right[None], torch.tensor([1.4]), settings, 0.1)
    assert loss.item() == pytest.approx(0.0, abs=1e-6)  # float32
    assert (right.exp() > 0.05).sum() == 5  # a Gaussian of 0.041 Å on bins of 0.033 Å
