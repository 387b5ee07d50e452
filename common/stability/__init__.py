"""Potentials refined by observables until their simulations hold: replicas, reweighting, learning, evaluation.

May use everything below; its siblings are the other systems.
"""
