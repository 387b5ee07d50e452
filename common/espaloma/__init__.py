"""The Espaloma archive: its entries, molecules and folders, and their conversion to a data set.

May use ``data``, ``heterograph`` and below. The minus sign of a quantum force stands in ``entry``, and nowhere else.
"""
