"""Rectangular periodic boxes by the nearest image."""

import numpy
import torch

RIGHT_ANGLE_TOLERANCE = 1e-6
"""Off-diagonal elements of a box beyond this share of its shortest edge make it oblique."""


def find_nearest_images(differences: torch.Tensor, cell: torch.Tensor | None) -> torch.Tensor:
    """Differences of positions, each to the nearest image.

    Args:
        differences: [Angstrom] ``shape=(..., 3)``.
        cell: edges of the box [Angstrom], ``shape=(3,)``; None where there is no box.
    """
    if cell is None:
        return differences
    return differences - cell * torch.round(differences.detach() / cell)


def read_edges(cell: numpy.ndarray) -> numpy.ndarray:
    """The edges of a box, ``shape=(3,)``.

    Args:
        cell: [Angstrom] three edges, or three box vectors as rows, ``shape=(3, 3)``.

    Raises:
        ValueError: the box is oblique, or an edge is not positive.
    """
    cell = numpy.asarray(cell, dtype=numpy.float64)
    edges = numpy.diagonal(cell) if cell.shape == (3, 3) else cell
    if edges.shape != (3,) or not (numpy.isfinite(edges).all() and (edges > 0.0).all()):
        raise ValueError(f"a box of edges {edges.tolist()} Å; three positive lengths are needed")
    if cell.shape == (3, 3) and abs(cell - numpy.diag(edges)).max() > RIGHT_ANGLE_TOLERANCE * edges.min():
        raise ValueError("the box is oblique; only boxes with right angles are known here, with edges along x, y and z")
    return edges.copy()


def check_cutoff(cutoff: float, cell: torch.Tensor | None) -> None:
    """Makes sure that no atom sees two images of another.

    Raises:
        ValueError: the cutoff is longer than half the shortest edge.
    """
    if cell is not None and cutoff > 0.5 * float(cell.min()):
        raise ValueError(
            f"a cutoff of {cutoff:g} Å in a box with an edge of {float(cell.min()):g} Å: at most half is possible "
            "where only the nearest image of an atom is seen"
        )
