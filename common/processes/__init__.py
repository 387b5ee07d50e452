"""Many processes: the pool of workers, the ranks of torchrun, threads, devices, memory, progress, Ctrl-C.

``stage`` is the frame in which every numbered script runs: it turns errors into one line and says which script makes
the artifact that is wrong. Whatever has to do with how work is spread belongs here, and nothing of what the work is.

May use ``files`` and below.
"""
