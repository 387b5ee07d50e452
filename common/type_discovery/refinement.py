"""From splits to a force field: the children's SMIRKS, the file that has them, and the molecules that take them."""

import collections.abc
import dataclasses
import hashlib

import torch

from common.forcefields.tensors import ParameterizedMolecules, TensorForceField, ValenceParameterMap
from common.molecules.mapped_smiles import from_mapped_smiles
from common.smirnoff.assignment import Assigner, build_potentials
from common.smirnoff.insertion import insert_child
from common.smirnoff.offxml import parse_force_field
from common.type_discovery.leaves import SECTIONS, Leaves
from common.type_discovery.primitives import add_primitive
from common.type_discovery.search import Step


@dataclasses.dataclass(frozen=True)
class Split:
    """A split as a user reads it.

    Attributes:
        type: section of the parameter.
        parent, child: SMIRKS.
        words: what the child's atoms have, e.g. "atom 2: in a five-membered ring".
        gain: by how much it lowered the mean training loss, priors included [kcal²/mol²].
        loss_held_out: see ``Step``.
    """

    type: str
    parent: str
    child: str
    words: str
    gain: float
    loss_held_out: float | None


def describe_splits(
    steps: collections.abc.Iterable[Step], leaves: Leaves, starting: collections.abc.Sequence[tuple[str, str]]
) -> list[Split]:
    """The splits with their SMIRKS.

    Args:
        steps: as the search accepted them.
        leaves: of the search.
        starting: section and SMIRKS of the types that the search began with, in order.
    """
    known = list(starting)
    splits = []
    for step in steps:
        type_, parent = known[step.parent]
        primitive = leaves.primitives[step.primitive]
        child = add_primitive(parent, step.tag, primitive)
        known.append((type_, child))
        words = f"atom {step.tag}: {primitive.words}"
        splits.append(Split(type_, parent, child, words, step.gain, step.loss_held_out))
    return splits


def refine(molecules: ParameterizedMolecules, splits: collections.abc.Iterable[Split]) -> ParameterizedMolecules:
    """The molecules with the finer force field, by real matching; charges and vdW stay as they are.

    Args:
        molecules: with the force field that was split; its file is in their provenance.
        splits: in the order in which they were accepted.

    Raises:
        ValueError: the force field has a child already.
    """
    text = molecules.provenance["offxml"]
    for split in splits:
        text = insert_child(text, split.type, split.parent, split.child)
    source = parse_force_field(text, molecules.provenance["force_field"])
    potentials = {potential.type: potential for potential in build_potentials(source)}
    assigner = Assigner(source)
    topologies = {}
    for smiles, topology in molecules.topologies.items():
        valence = assigner.assign(from_mapped_smiles(smiles)).valence
        maps = {
            type_: ValenceParameterMap(*map(torch.from_numpy, valence[type_])) for type_ in SECTIONS if type_ in valence
        }
        topologies[smiles] = dataclasses.replace(topology, parameters={**topology.parameters, **maps})
    kept = molecules.force_field.potentials_by_type
    force_field = TensorForceField(
        tuple(potentials[type_] if type_ in SECTIONS else potential for type_, potential in kept.items())
    )
    provenance = {
        **molecules.provenance,
        "offxml": text,
        "force_field_sha256": hashlib.sha256(text.encode("utf-8")).hexdigest(),
        "split_from_sha256": molecules.provenance.get("force_field_sha256"),
    }
    return dataclasses.replace(molecules, force_field=force_field, topologies=topologies, provenance=provenance)


def find_parents(splits: collections.abc.Iterable[Split]) -> dict[tuple[str, str], str]:
    """By section and SMIRKS of a child the SMIRKS of its parent."""
    return {(split.type, split.child): split.parent for split in splits}
