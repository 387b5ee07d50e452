"""Data sets in the one schema of the house: entries, Arrow shards, splits, weights of conformers.

May use ``geometry``, ``reporting`` and below.
"""
