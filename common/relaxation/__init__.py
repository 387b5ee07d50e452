"""Geometries relaxed by force fields, many at once, and how far they end from the quantum ones.

Minimisation by the closed-form energies and forces of ``forcefields``, free or with one dihedral held; torsion scans
and minima found in data sets; deviations of what comes out, and their means with intervals.

May use ``data``, ``forcefields``, ``geometry``, ``reporting`` and below. No OpenMM: that is for tests and benchmarks.
"""
