"""Where tasks run: in this process, in processes of this machine, on the nodes of a cluster; one interface.

May use ``processes`` and below; knows nothing of what the tasks are.
"""
