"""Whether conformers, energies and forces can be what they are said to be, by physics alone.

Each check looks at one entry and names what it looks like: another unit, gradients for forces, another order of atoms.
``checks`` runs all of them, ``judgement`` decides for a whole source. What a file can get wrong by its form is refused
where it is read.

May use ``geometry``, ``molecules`` and below; no torch, and no knowledge of force fields.
"""
