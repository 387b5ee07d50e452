"""One interface to all potentials: energies of atoms, energies and forces of many replicas of one system.

May use ``smirnoff``, ``neural``, ``observables`` and below.
"""
