"""SMIRNOFF: reading and writing OFFXML, assignment by SMIRKS, charges, and from these a parameterised molecule.

A new section of the format is read in ``offxml`` and ``values`` and assigned in ``assignment``. To read a file of a
force field needs no torch.

May use ``nagl``, ``runs`` and below.
"""
