"""Many processes: the pool, the ranks of torchrun, slices of work, progress, interrupts, the frame of a stage.

May use ``files`` and below.
"""
