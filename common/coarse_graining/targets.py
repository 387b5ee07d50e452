"""Forces and torques to match: those that were stored, or finite differences of velocities and angular momenta."""

import torch

from common.body_trajectories.trajectories import Trajectories
from common.dynamics.rigid_bodies import Motion
from common.geometry.quaternions import compute_rotation_matrices
from common.potentials.body_pairs import BodyPotential


def collect_frames(trajectories: Trajectories, method: str) -> tuple[Motion, torch.Tensor, torch.Tensor]:
    """All frames with the forces and torques of what is to be learned.

    Args:
        trajectories: of a system.
        method: "forces" for what is stored with them, "finite-differences" for central differences over two intervals,
            less what the known terms explain; the first and the last frame of a trajectory have none.

    Returns:
        states ``shape=(n_frames, n_bodies, 3 | 4)``, forces and torques ``shape=(n_frames, n_bodies, 3)``.

    Raises:
        ValueError: no forces are stored.
    """
    if method == "forces":
        if trajectories.forces is None or trajectories.torques is None:
            raise ValueError("method = 'forces': no forces are stored with these trajectories; use 'trajectory'")
        motion = Motion(*(values.flatten(0, 1) for values in trajectories.motion))
        return motion, trajectories.forces.flatten(0, 1), trajectories.torques.flatten(0, 1)
    return _differentiate(trajectories)


def _differentiate(trajectories: Trajectories) -> tuple[Motion, torch.Tensor, torch.Tensor]:
    motion, system = trajectories.motion, trajectories.system
    inertia = system.build_inertia()
    rotations = compute_rotation_matrices(motion.quaternions)
    momenta = (rotations @ motion.angular_momenta[..., None])[..., 0]
    span = 2.0 * trajectories.interval
    middle = Motion(*(values[:, 1:-1] for values in motion))
    forces = inertia.masses * (motion.velocities[:, 2:] - motion.velocities[:, :-2]) / span
    changes = (momenta[:, 2:] - momenta[:, :-2]) / span  # in space; the torque along the body's axes is turned back
    torques = (rotations[:, 1:-1].mT @ changes[..., None])[..., 0]
    known, known_torques = system.add_spring(BodyPotential(())).compute_field(middle.positions, middle.quaternions)
    flat = Motion(*(values.flatten(0, 1) for values in middle))
    return flat, (forces - known).flatten(0, 1), (torques - known_torques).flatten(0, 1)
