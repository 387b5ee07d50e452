"""The Espaloma archive: its folders, entries and molecules, and their conversion to data sets.

Atomic units become ours here, and the minus sign of a quantum force stands in ``entry`` and nowhere else. Another
archive with a format of its own is another room on this floor.

May use ``data``, ``heterograph`` and below.
"""
