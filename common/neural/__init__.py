"""Networks on atoms: radial functions, the SchNet trunk, equivariant message passing, energies of atoms, training.

May use ``data``, ``forcefields``, ``runs`` and below.
"""
