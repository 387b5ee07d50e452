"""Which structures are kept: clustering and filtering of conformers, farthest points, an ensemble's disagreement.

May use ``runs``, ``data``, ``forcefields`` and below; computes no energies.
"""
