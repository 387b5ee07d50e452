"""Internal coordinates with their gradients.

May use ``molecules`` and below.
"""
