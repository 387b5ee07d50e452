"""Learned potentials of two rigid bodies, invariant by construction, with forces and torques in closed form.

May use ``body_trajectories``, ``dynamics``, ``potentials`` and below; knows nothing of how they are trained.
"""
