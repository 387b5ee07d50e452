"""A user's own quantum calculations, in the formats that programs write -> entries of a data set.

``formats`` knows which module reads which file; each finds blocks (conformers of one list of atoms) without keeping
them, and reads one block at a time. ``mapping`` says which molecule a block is, ``conversion`` writes shards with an
account of what was left out.

May use ``plausibility``, ``data``, ``molecules`` and below; no torch.
"""
