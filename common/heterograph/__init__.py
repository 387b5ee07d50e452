"""DGL's graph files, read and written without DGL.

May use ``molecules`` and below; no torch.
"""
