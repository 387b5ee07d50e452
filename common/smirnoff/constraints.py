"""A force field file without the constraints that hide part of its energy.

A constraint without a distance holds a bond at its equilibrium length, and engines leave that bond's energy out: the
file is made for long time steps, and its energies are not those that were fitted. Constraints with a distance (rigid
water) belong to the model and stay.
"""

from common.smirnoff.insertion import find_element
from common.smirnoff.offxml import parse_force_field
from common.smirnoff.offxml_writer import locate_elements


def remove_constraints(text: str) -> str:
    """The force field file without constraints of bonds to their equilibrium length; all else stays as it is.

    Args:
        text: of the file.
    """
    sections = parse_force_field(text, "the force field file").sections
    parameters = sections["Constraints"].parameters if "Constraints" in sections else ()
    data = text.encode("utf-8")
    positions = locate_elements(data)
    for i in reversed(range(len(parameters))):
        if "distance" not in parameters[i].attributes:
            start = positions["Constraints", i]
            end = start + len(find_element(data, start))
            line = data.rfind(b"\n", 0, start)
            start = line if line >= 0 and not data[line:start].strip() else start
            data = data[:start] + data[end:]
    return data.decode("utf-8")
