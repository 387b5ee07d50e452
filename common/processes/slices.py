"""Work cut into slices."""

import collections.abc


def cut_into_slices(
    items: collections.abc.Sequence, weights: collections.abc.Sequence[float], limit: float
) -> list[list]:
    """Cuts items, in their order, into slices whose weights add up to at most ``limit``; one item is never cut.

    Args:
        items: what is to be worked on.
        weights: of each item, e.g. its size or number of conformers.
        limit: the largest sum of weights in a slice, unless it has a single item.
    """
    slices: list[list] = []
    total = 0.0
    for item, weight in zip(items, weights, strict=True):
        if not slices or total + weight > limit:
            slices.append([])
            total = 0.0
        slices[-1].append(item)
        total += weight
    return slices
