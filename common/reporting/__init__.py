"""What all reports share: kinds of plots, drawings of structures, numbers and names in words, lines for the console,
intervals by resampling.

What only one report says belongs to the room of its system.

May use ``molecules`` and below.
"""
