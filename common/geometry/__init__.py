"""Where points lie to one another: distances, angles and dihedrals with gradients, periodic boxes, rotations of bodies.

A new internal coordinate goes here, with its gradient in closed form; the energy that is a function of it goes to
``forcefields``.

May use ``molecules`` and below; knows nothing of elements or parameters.
"""
