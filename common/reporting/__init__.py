"""What all reports share: plots, drawings of structures, numbers in words, console lines.

May use ``molecules`` and below. What only one report says belongs to the room of its system.
"""
