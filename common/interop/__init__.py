"""The OpenFF stack, smee and OpenMM: the one room that knows them.

May use ``smirnoff`` and below.
"""
