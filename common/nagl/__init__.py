"""AM1-BCC charges by the NAGL graph network, without openff-nagl.

May use ``forcefields`` and below.
"""
