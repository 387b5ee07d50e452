"""The pass: from data and parameters to the sums that hold the loss of every set of parameters.

May use ``smirnoff``, ``forcefields``, ``data`` and below; what minimises the loss is upstairs in ``fitting``.
"""
