"""Which structures are kept: clustering of conformers, filtering of data sets.

May use ``runs``, ``data``, ``forcefields`` and below.
"""
