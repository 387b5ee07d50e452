"""Few structures that are far from one another: farthest-point sampling (Gonzalez, Theor. Comput. Sci. 38, 293)."""

import numpy


def compute_distance_features(coords: numpy.ndarray) -> numpy.ndarray:
    """All interatomic distances of each structure: the same whatever its position and orientation.

    Args:
        coords: ``shape=(n_structures, n_atoms, 3)``.

    Returns:
        ``shape=(n_structures, n_atoms (n_atoms - 1) / 2)``, in the unit of ``coords``.
    """
    i, j = numpy.triu_indices(coords.shape[1], 1)
    return numpy.linalg.norm(coords[:, i] - coords[:, j], axis=-1)


def select_farthest(features: numpy.ndarray, n_select: int, first: int = 0) -> list[int]:
    """Indices of structures, each the farthest from all that were chosen before it; of equals the first.

    Args:
        features: ``shape=(n_structures, n_features)``; structures are as far apart as these vectors.
        n_select: how many; all where there are fewer.
        first: the index of the structure to start from.
    """
    chosen = [first][: min(n_select, len(features))]
    nearest = numpy.full(len(features), numpy.inf)
    while len(chosen) < min(n_select, len(features)):
        nearest = numpy.minimum(nearest, numpy.linalg.norm(features - features[chosen[-1]], axis=-1))
        nearest[chosen[-1]] = -1.0  # never again, even where all others coincide with a chosen one
        chosen.append(int(nearest.argmax()))
    return chosen
