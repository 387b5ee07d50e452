"""Which calculation next: the pure core of active learning, events in and commands out.

May use ``selection`` and below. No torch, thread, clock or file: the same events give the same commands, always.
"""
