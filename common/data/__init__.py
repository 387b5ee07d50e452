"""Data sets in the one schema of the house: entries, Arrow shards, the index of rows, trajectories.

Also which molecules train, validate and test, and which conformers count how much. What turns other formats into data
sets belongs upstairs.

May use ``geometry``, ``reporting`` and below.
"""
