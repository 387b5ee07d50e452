"""Trajectories of rigid bodies: what the systems are, how they are simulated, files of ours and of LAMMPS.

May use ``dynamics``, ``potentials``, ``smirnoff`` and below; knows nothing of what is learned from them.
"""
