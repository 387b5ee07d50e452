"""SMIRNOFF: reading and writing OFFXML, assignment by SMIRKS, charges, and from these a parameterised molecule.

May use ``nagl``, ``runs`` and below. Reading a file of a force field needs no torch.
"""
