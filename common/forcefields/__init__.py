"""A force field and its molecules as tensors: energy terms, the ``.pt`` file, energies and forces, what is trainable.

May use ``geometry``, ``reporting`` and below; knows nothing of SMARTS or of any fit.
"""
