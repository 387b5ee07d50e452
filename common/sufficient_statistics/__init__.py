"""The pass: from data and parameters to the sums that hold the loss of every set of parameters.

``linearization`` says in which functions φ of the parameters the energy is linear, ``interactions`` and ``gram``
compute their Gram matrices, ``plan`` and ``accumulation`` spread that over ranks, ``statistics`` is the artifact.

May use ``smirnoff``, ``forcefields``, ``data`` and below; what minimises the loss is upstairs in ``fitting``.
"""
