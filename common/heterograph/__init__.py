"""DGL's graph files, read and written without DGL.

May use ``molecules`` and below; no torch. What the graphs of the Espaloma archive mean is upstairs in ``espaloma``.
"""
