"""Molecule generation by conditional G-SchNet: data, trajectories, network, training, placement, sampling, assessment.

May use everything below its floor; no other system.
"""
