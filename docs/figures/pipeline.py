"""Draws docs/figures/pipeline.svg: the five systems, and what flows between them.

python -m docs.figures.pipeline
"""

import pathlib
import typing

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from common.reporting.plots import render_svg

FIGURE = pathlib.Path(__file__).with_suffix(".svg")
SIZE = (9.0, 5.2)
"""[inch]"""
BOX = (2.5, 1.05)
"""Width and height of a system, in the units of the axes."""


class System(typing.NamedTuple):
    """A box: what it is called, its stages, what it does, and where its centre lies."""

    name: str
    stages: str
    does: str
    x: float
    y: float
    colour: str


class Flow(typing.NamedTuple):
    """An arrow from edge to edge, what flows along it, and where that is written."""

    start: tuple[float, float]
    end: tuple[float, float]
    what: str
    x: float
    y: float


SYSTEMS = (
    System("SMIRNOFF fit", "001 to 005", "quantum energies and forces\nto a force field, exactly", 4.5, 2.6, "#cfe3f5"),
    System("molecule generation", "041 to 044", "molecules, one atom\nafter another", 1.4, 4.5, "#e6dcf3"),
    System("active learning", "021 to 023", "few quantum calculations,\nnone lost", 7.6, 4.5, "#fbe3cd"),
    System("stable dynamics", "011 to 014", "simulations that hold,\nrepaired where they do not", 1.4, 0.7, "#d8eed8"),
    System("coarse-graining", "031 to 033", "rigid bodies learned\nfrom trajectories", 7.6, 0.7, "#f5d9de"),
)

FLOWS = (
    Flow((2.7, 4.5), (6.3, 4.5), "molecules nobody has drawn", 4.5, 4.66),
    Flow((2.1, 3.95), (3.6, 3.18), "data sets", 2.45, 3.48),
    Flow((6.6, 3.95), (4.9, 3.18), "labels", 5.42, 3.72),
    Flow((5.5, 3.18), (7.3, 3.95), "cheap level", 6.9, 3.48),
    Flow((3.9, 2.02), (2.3, 1.28), "force field", 3.62, 1.55),
    Flow((1.7, 1.28), (3.3, 2.02), "refined", 2.1, 1.72),
    Flow((5.4, 2.02), (6.9, 1.28), "force field", 6.6, 1.75),
)


def draw() -> Figure:
    """The drawing."""
    figure = Figure(figsize=SIZE)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0.0, 9.0), ylim=(0.0, 5.2))
    axes.axis("off")
    for one in SYSTEMS:
        corner = (one.x - BOX[0] / 2.0, one.y - BOX[1] / 2.0)
        style = "round,pad=0.02,rounding_size=0.12"
        axes.add_patch(FancyBboxPatch(corner, *BOX, boxstyle=style, facecolor=one.colour, edgecolor="#444444"))
        axes.text(one.x, one.y + 0.3, one.name, ha="center", va="center", fontsize=12, fontweight="bold")
        axes.text(one.x, one.y - 0.18, f"{one.does}\n{one.stages}", ha="center", va="center", fontsize=9)
    for flow in FLOWS:
        arrow = FancyArrowPatch(
            flow.start,
            flow.end,
            arrowstyle="-|>",
            mutation_scale=14,
            color="#555555",
            linewidth=1.4,
            shrinkA=0,
            shrinkB=0,
        )
        axes.add_patch(arrow)
        axes.text(flow.x, flow.y, flow.what, ha="center", va="center", fontsize=9, color="#333333")
    return figure


def main() -> None:
    FIGURE.write_bytes(render_svg(draw()))
    print(f"wrote {FIGURE}")


if __name__ == "__main__":
    main()
