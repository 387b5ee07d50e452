"""AM1-BCC charges by the NAGL graph network, without openff-nagl: weights, features, network, look-up table.

May use ``forcefields`` and below. Where a force field takes its charges from is decided upstairs in ``smirnoff``.
"""
