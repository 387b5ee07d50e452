"""Every component is drawn, whatever the sign of quaternions."""

from common.coarse_graining.figures import plot_components
from common.dynamics.rigid_bodies import Motion
from tests.coarse_graining.samples import make_trajectories


def test_every_component_has_its_frame():
    motion = Motion(*(values[0] for values in make_trajectories().motion))
    flipped = motion._replace(quaternions=-motion.quaternions)
    figures = plot_components(motion, flipped, 0.1, ("σ", "ε", "τ"))
    panels = {name: len(figure.axes) for name, figure in figures.items()}
    assert panels == {"positions": 6, "velocities": 6, "angular_momenta": 6, "quaternions": 8, "separation": 1}
    for axes in figures["quaternions"].axes:
        true, predicted = axes.lines
        assert (true.get_ydata() == predicted.get_ydata()).all()
