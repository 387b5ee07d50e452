"""Potentials refined by observables until their simulations hold: a pool of frames, reweighting, learning, the cycle.

May use everything below; its siblings are the other systems.
"""
