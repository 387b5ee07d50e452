"""The features of energies alone, frame by frame: U(x; φ) = f(x)·φ + what φ does not touch.

For whoever wants differences of energies between parameters and not the Gram matrices of a fit; the layout is that of
:mod:`common.sufficient_statistics.linearization`. The constant b²/2a of a harmonic term is the same for all frames.
"""

import torch

from common.forcefields.energy import GEOMETRY
from common.forcefields.tensors import TensorTopology, ValenceParameterMap
from common.forcefields.terms import VALENCE_TYPES
from common.sufficient_statistics.linearization import MINIMUM_COLUMNS, Linearization


def compute_energy_features(
    topology: TensorTopology, linearization: Linearization, coords: torch.Tensor
) -> torch.Tensor:
    """f(x) of the valence terms; those of Lennard-Jones pairs stay 0.

    Args:
        topology: the molecule.
        linearization: the layout, and the minima around which harmonic terms are expanded.
        coords: [Angstrom] ``shape=(n_frames, n_atoms, 3)`` float64.

    Returns:
        ``shape=(n_frames, n_features)``.
    """
    x = coords.permute(2, 0, 1)
    features = coords.new_zeros((len(coords), linearization.n_features))
    for type_ in VALENCE_TYPES:
        potential = linearization.reference.potentials_by_type.get(type_)
        map_ = topology.parameters.get(type_)
        if potential is None or not isinstance(map_, ValenceParameterMap) or not len(map_.parameter_idxs):
            continue
        rows, start = map_.parameter_idxs, linearization.starts[type_]
        q = GEOMETRY[type_][0](*x[..., map_.particle_idxs].unbind(-1))
        if type_ in MINIMUM_COLUMNS:
            shift = q - potential.column(MINIMUM_COLUMNS[type_])[rows]
            features = features.index_add(1, start + 2 * rows, 0.5 * shift * shift)
            features = features.index_add(1, start + 2 * rows + 1, -shift)
        else:
            periodicity, phase, idivf = (potential.column(name)[rows] for name in ("periodicity", "phase", "idivf"))
            features = features.index_add(1, start + rows, (1.0 + torch.cos(periodicity * q - phase)) / idivf)
    return features
