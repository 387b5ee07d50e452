"""The generator's losses the direct way: each partial molecule a graph of its own, each edge and node by itself."""

import math

import numpy
import torch

from common.neural.layers import shifted_softplus
from common.neural.radial import compute_cosine_cutoff


class DirectNetwork:
    """Uses the weights of a network, and none of its arrays; ``embed(molecule, missing)`` gives the conditions."""

    def __init__(self, network, table, embed):
        self.network, self.table, self.embed = network, table, embed
        self.settings = network.settings

    def compute_losses(self, steps):
        """Sums of the losses of types and of distances, and the number of distances."""
        sums = [torch.zeros(()), torch.zeros(()), 0]
        for i in range(len(steps)):
            molecule = int(steps.molecules[i])
            atoms = slice(self.table.atom_starts[molecule], self.table.atom_starts[molecule + 1])
            placed_at = steps.placed_at[steps.placed_starts[i] :][: atoms.stop - atoms.start]
            classes, coords = self.table.classes[atoms], self.table.coords[atoms]
            missing = numpy.bincount(classes[placed_at >= steps.numbers[i]], minlength=len(self.settings.types))
            condition = self.embed(molecule, missing)
            answer = (int(steps.focus[i]), int(steps.atom[i]))
            one = self._compute_step(classes, coords, placed_at < steps.numbers[i], *answer, condition)
            sums = [total + part for total, part in zip(sums, one, strict=True)]
        return sums

    def _compute_step(self, classes, coords, is_placed, focus, following, condition):
        n_types = len(self.settings.types)
        centre = numpy.zeros(3) if focus < 0 else coords[focus]
        places = [numpy.zeros(3), *coords[is_placed], centre]
        features = self._run_trunk([n_types, *classes[is_placed], n_types + 1], places)
        near = [i for i, place in enumerate(places) if math.dist(place, centre) <= self.settings.prediction_cutoff]
        near = sorted({0, *near})
        logits = [self._run_head(self.network.type_head, features[i], condition) for i in near]
        log_types = torch.log_softmax(sum(torch.log_softmax(one, -1) for one in logits), -1)
        if following < 0:
            return -log_types[n_types], torch.zeros(()), 0
        loss = torch.zeros(())
        for i in near:
            embedded = self.network.next_types.weight[int(classes[following])]
            logits = self._run_head(self.network.distance_head, features[i] * embedded, condition)
            loss = loss + self._compute_divergence(
                torch.log_softmax(logits, -1), math.dist(coords[following], places[i])
            )
        return -log_types[int(classes[following])], loss, len(near)

    def _run_trunk(self, kinds, places):
        network, cutoff = self.network, self.settings.model_cutoff
        features = [network.kinds.weight[int(kind)] for kind in kinds]
        for interaction in network.trunk.interactions:
            sent = [interaction.project(one) for one in features]
            heard = [torch.zeros_like(one) for one in sent]
            for i, here in enumerate(places):
                for j, there in enumerate(places):
                    distance = torch.tensor(math.dist(here, there))
                    if i != j and distance < cutoff:
                        values = network.trunk.basis(distance), compute_cosine_cutoff(distance, cutoff)
                        heard[i] = heard[i] + sent[j] * interaction.compute_filters(*values)
            features = [interaction.update(one, total) for one, total in zip(features, heard, strict=True)]
        return features

    @staticmethod
    def _run_head(head, features, condition):
        x = torch.cat([features, condition])
        for i, layer in enumerate(head.layers):
            x = layer(x if i == 0 else shifted_softplus(x))
        return x

    def _compute_divergence(self, log_probabilities, distance):
        n_bins = len(log_probabilities)
        width = self.settings.max_distance / (n_bins - 1)
        within = min(distance, self.settings.max_distance)
        weights = [math.exp(-((within - width * i) ** 2) / (0.1 * width)) for i in range(n_bins)]
        labels = [weight / sum(weights) for weight in weights]
        return sum(
            label * (math.log(label) - log_probability)
            for label, log_probability in zip(labels, log_probabilities, strict=True)
            if label > 0.0
        )
