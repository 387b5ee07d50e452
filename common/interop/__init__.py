"""The OpenFF stack, smee, OpenMM, GROMACS and AMBER: the one room that knows them.

Conversions to and from objects of other programs go here; each program is imported when it is asked for.

May use ``smirnoff`` and below.
"""
