"""Molecular dynamics: integrators of Newton's and Langevin's equations, many replicas at once.

May use ``potentials`` and below; knows nothing of why a trajectory is wanted.
"""
