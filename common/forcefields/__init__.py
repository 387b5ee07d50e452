"""A force field and its molecules as tensors: energy terms, energies and forces, the ``.pt`` file, what is trainable.

A new energy term has its type, columns and units in ``terms`` and its formula in ``energy``.

May use ``geometry``, ``reporting`` and below; knows nothing of SMARTS or of any fit.
"""
