"""The OpenFF stack: parameters by openff-toolkit and openff-interchange, and conversion to and from smee's objects.

The only module that imports openff-toolkit, openff-interchange and smee (openff-nagl through the toolkit); they are
conda packages, nothing else needs them, and they are loaded when asked for. The names of smee's classes are ours too;
the records of ``common.forcefields.tensors`` hold row numbers where smee holds sparse assignment matrices.
"""

import collections.abc
import contextlib
import importlib
import importlib.util
import logging
import typing
import warnings

import numpy
import torch

from common.forcefields.tensors import (
    NonbondedParameterMap,
    ParameterizedMolecules,
    ParameterKey,
    TensorForceField,
    TensorPotential,
    TensorTopology,
    ValenceParameterMap,
)
from common.forcefields.terms import ENERGY_FUNCTIONS, N_PARTICLES, NONBONDED_TYPES, PARAMETER_UNITS, VALENCE_TYPES
from common.molecules.mapped_smiles import compute_connectivity_key
from common.nagl.weights import find_weights, load_weights
from common.processes.pool import Prepared
from common.smirnoff.assignment import MAX_EXCLUDED_BONDS, Assignment, build_potentials
from common.smirnoff.charges import AM1_BCC_METHODS, choose_charge_method, describe_charges
from common.smirnoff.offxml import ForceFieldError, ForceFieldFile
from common.smirnoff.parameterize import MoleculeArrays, Parameterize, collect

PACKAGES = ("openff.toolkit", "openff.interchange", "openff.nagl", "smee")

VALUE_TOLERANCE = 1e-8
"""Relative difference between the stack's values and ours that is put down to conversion constants of units."""

MAX_REASON = 300
"""Characters of an error message of the stack, which may list every atom, that are kept as a reason."""


# --- is it there? ----------------------------------------------------------------------------------------------------


def is_available() -> bool:
    """Whether openff-toolkit, openff-interchange, openff-nagl and smee can be imported."""
    return not _list_missing()


def _list_missing() -> list[str]:
    def is_missing(name: str) -> bool:
        try:
            return importlib.util.find_spec(name) is None
        except ModuleNotFoundError:  # the parent package is missing
            return True

    return [name for name in PACKAGES if is_missing(name)]


def check_available() -> None:
    """Checks that the OpenFF stack is installed.

    Raises:
        RuntimeError: it is not; the message says what is missing and how to install it.
    """
    missing = _list_missing()
    if missing:
        raise RuntimeError(
            f"the OpenFF stack is not installed ({', '.join(missing)} cannot be imported); it comes from conda: "
            "conda env create -f environment.yml. The built-in engine does without it (--engine builtin)"
        )


def list_versions() -> dict[str, str]:
    """The versions of the OpenFF stack."""
    return {name.replace(".", "-"): str(importlib.import_module(name).__version__) for name in PACKAGES}


# --- smee's objects ---------------------------------------------------------------------------------------------------


def to_smee(
    force_field: TensorForceField, topologies: collections.abc.Sequence[TensorTopology]
) -> tuple[typing.Any, list[typing.Any]]:
    """The ``smee.TensorForceField`` and ``smee.TensorTopology`` objects of ours, as ``convert_interchange`` gives them.

    Values stay float64, but ``smee.compute_energy`` (0.16) casts coordinates to float32: its energies agree with ours
    to about 1e-6 relative, not better.

    Raises:
        RuntimeError: the stack is not installed.
    """
    check_available()
    import smee

    potentials = [_to_smee_potential(potential) for potential in force_field.potentials]
    sizes = {potential.type: len(potential.parameters) for potential in force_field.potentials}
    return smee.TensorForceField(potentials), [_to_smee_topology(topology, sizes) for topology in topologies]


def _to_smee_potential(potential: TensorPotential) -> typing.Any:
    import smee
    from openff.interchange.models import PotentialKey

    fields = vars(potential)
    keys = [
        PotentialKey(id=key.id, mult=key.mult, associated_handler=potential.type) for key in fields["parameter_keys"]
    ]
    units = tuple(map(_to_unit, potential.parameter_units))
    attribute_units = None if potential.attribute_units is None else tuple(map(_to_unit, potential.attribute_units))
    converted = {"parameter_keys": keys, "parameter_units": units, "attribute_units": attribute_units}
    return smee.TensorPotential(**{**fields, **converted})


def _to_unit(text: str) -> typing.Any:
    import openff.units

    return openff.units.Unit(text or "dimensionless")


def _to_smee_topology(topology: TensorTopology, sizes: dict[str, int]) -> typing.Any:
    import smee

    maps = {}
    for type_, map_ in topology.parameters.items():
        rows = torch.arange(len(map_.parameter_idxs))
        matrix = torch.sparse_coo_tensor(
            torch.stack([rows, map_.parameter_idxs]),
            torch.ones(len(rows), dtype=torch.float64),
            size=(len(rows), sizes[type_]),
            is_coalesced=True,
        )
        if isinstance(map_, ValenceParameterMap):
            maps[type_] = smee.ValenceParameterMap(map_.particle_idxs, matrix)
        else:
            maps[type_] = smee.NonbondedParameterMap(matrix, map_.exclusions, map_.exclusion_scale_idxs)
    return smee.TensorTopology(**{**vars(topology), "parameters": maps})


def from_smee(
    force_field: typing.Any, topologies: collections.abc.Sequence[typing.Any]
) -> tuple[TensorForceField, list[TensorTopology]]:
    """Our records of a ``smee.TensorForceField`` and ``smee.TensorTopology`` objects, in float64 and our units.

    Raises:
        RuntimeError: the stack is not installed.
        ValueError: they hold what our records have no place for: virtual sites, exceptions from mixing rules,
            potentials of other types, charges that are sums of several parameters.
    """
    check_available()
    if any(_has_virtual_sites(item) for item in (force_field, *topologies)):
        raise ValueError("virtual sites are not supported; use a force field without them")
    potentials = tuple(_from_smee_potential(potential) for potential in force_field.potentials)
    return TensorForceField(potentials), [_from_smee_topology(topology) for topology in topologies]


def _has_virtual_sites(item: typing.Any) -> bool:
    """Whether a smee force field or topology has any; an empty section leaves an empty record."""
    return item.v_sites is not None and len(item.v_sites.keys) > 0


def _from_smee_potential(potential: typing.Any) -> TensorPotential:
    type_ = str(potential.type)
    known = str(potential.fn) == ENERGY_FUNCTIONS.get(type_)
    if not known or set(potential.parameter_cols) != set(PARAMETER_UNITS[type_]):
        raise ValueError(f"{type_}, {potential.fn}: potentials of this type are not supported")
    if potential.exceptions is not None:
        raise ValueError(f"{type_}: exceptions from mixing rules are not supported")
    cols = tuple(potential.parameter_cols)
    units = tuple(PARAMETER_UNITS[type_][name] for name in cols)
    attributes = attribute_units = None
    if potential.attributes is not None:
        attribute_units = tuple(_spell_unit(unit) for unit in potential.attribute_units)
        attributes = potential.attributes.detach().double()
    return TensorPotential(
        type=type_,
        fn=str(potential.fn),
        parameters=potential.parameters.detach().double() * _find_factors(potential.parameter_units, units),
        parameter_keys=tuple(ParameterKey(key.id, key.mult) for key in potential.parameter_keys),
        parameter_cols=cols,
        parameter_units=units,
        attributes=attributes,
        attribute_cols=None if attributes is None else tuple(potential.attribute_cols),
        attribute_units=attribute_units,
    )


def _find_factors(units: collections.abc.Iterable[typing.Any], wanted: collections.abc.Iterable[str]) -> torch.Tensor:
    """What values in ``units`` are multiplied by; exactly 1 where the units are the same."""
    pairs = [(unit, _to_unit(text)) for unit, text in zip(units, wanted, strict=True)]
    factors = [1.0 if unit == other else (1.0 * unit).m_as(other) for unit, other in pairs]
    return torch.tensor(factors, dtype=torch.float64)


def _spell_unit(unit: typing.Any) -> str:
    return "" if unit == _to_unit("") else str(unit)


def _from_smee_topology(topology: typing.Any) -> TensorTopology:
    maps: dict[str, ValenceParameterMap | NonbondedParameterMap] = {}
    for name, map_ in topology.parameters.items():
        type_ = str(name)
        rows = _find_rows(map_.assignment_matrix, type_)
        if type_ in VALENCE_TYPES:
            maps[type_] = ValenceParameterMap(map_.particle_idxs.long().reshape(-1, N_PARTICLES[type_]), rows)
        else:
            pairs, scales = map_.exclusions.long().reshape(-1, 2), map_.exclusion_scale_idxs.long().reshape(-1, 1)
            maps[type_] = NonbondedParameterMap(rows, pairs, scales)
    return TensorTopology(
        atomic_nums=topology.atomic_nums.long(),
        formal_charges=topology.formal_charges.long(),
        bond_idxs=topology.bond_idxs.long().reshape(-1, 2),
        bond_orders=topology.bond_orders.long(),
        parameters=maps,
    )


def _find_rows(matrix: torch.Tensor, type_: str) -> torch.Tensor:
    """The one parameter that each interaction or atom is assigned."""
    matrix = matrix.to_sparse().coalesce() if not matrix.is_sparse else matrix.coalesce()
    rows, columns = matrix.indices()
    if not torch.equal(rows, torch.arange(matrix.shape[0])) or not bool((matrix.values() == 1.0).all()):
        raise ValueError(f"{type_}: an atom or interaction with several parameters is not supported")
    return columns


# --- parameters by the stack ------------------------------------------------------------------------------------------


class StackParameterizer:
    """Applies one force field with openff-toolkit and openff-interchange."""

    def __init__(self, file: ForceFieldFile):
        self.potentials = {potential.type: potential for potential in build_potentials(file)}
        self.rows = {
            type_: {key: row for row, key in enumerate(potential.parameter_keys)}
            for type_, potential in self.potentials.items()
        }
        with _quiet():
            self.force_field, self.charge_source = _load_force_field(file)

    def parameterize(self, smiles: collections.abc.Sequence[str]) -> list[MoleculeArrays | str]:
        """The molecules of some mapped SMILES, in their order; for each that fails, the reason."""
        from openff.interchange.exceptions import InterchangeException
        from openff.toolkit.utils.exceptions import OpenFFToolkitException

        results: list[MoleculeArrays | str] = []
        for text in smiles:
            try:
                with _quiet():
                    results.append(self._parameterize(text))
            except (OpenFFToolkitException, InterchangeException, ValueError, NotImplementedError) as error:
                results.append(" ".join(str(error).split())[:MAX_REASON] or type(error).__name__)
        return results

    def _parameterize(self, smiles: str) -> MoleculeArrays:
        import smee.converters
        from openff.interchange import Interchange
        from openff.toolkit import Molecule

        molecule = Molecule.from_mapped_smiles(smiles, allow_undefined_stereo=True)
        interchange = Interchange.from_smirnoff(self.force_field, molecule.to_topology())
        force_field, (topology,) = smee.converters.convert_interchange(interchange)
        found = {str(potential.type): potential for potential in force_field.potentials}
        unknown = set(found) - set(self.potentials)
        if unknown or _has_virtual_sites(force_field):
            raise ValueError(f"{', '.join(sorted(unknown)) or 'VirtualSites'}: not among the supported sections")
        bond_idxs = topology.bond_idxs.long().reshape(-1, 2).sort(dim=1).values
        bonds = sort_pairs(torch.cat([bond_idxs, topology.bond_orders.long()[:, None]], dim=1))
        charges, library_idxs = self._find_charges(found.get("Electrostatics"), topology)
        return MoleculeArrays(
            atomic_nums=topology.atomic_nums.long().numpy(),
            formal_charges=topology.formal_charges.long().numpy(),
            bond_idxs=bonds[:, :2].copy(),
            bond_orders=bonds[:, 2].copy(),
            assignment=Assignment(
                valence={
                    type_: self._find_terms(type_, found, topology) for type_ in VALENCE_TYPES if type_ in self.rows
                },
                vdw_idxs=self._find_vdw(found, topology),
                library_idxs=library_idxs,
                **_find_exclusions(topology),
            ),
            charges=charges,
            connectivity=compute_connectivity_key(smiles),
        )

    def _find_terms(
        self, type_: str, found: dict[str, typing.Any], topology: typing.Any
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Atoms and rows of a valence type, in the order of the built-in engine."""
        n_particles = N_PARTICLES[type_]
        if type_ not in found:
            return numpy.empty((0, n_particles), dtype=numpy.int64), numpy.empty(0, dtype=numpy.int64)
        map_ = topology.parameters[type_]
        rows = self._map_rows(found[type_])[_find_rows(map_.assignment_matrix, type_)]
        return sort_terms(type_, map_.particle_idxs.long().reshape(-1, n_particles).numpy(), rows.numpy())

    def _find_vdw(self, found: dict[str, typing.Any], topology: typing.Any) -> numpy.ndarray | None:
        if "vdW" not in found:
            return None
        rows = self._map_rows(found["vdW"])
        return rows[_find_rows(topology.parameters["vdW"].assignment_matrix, "vdW")].numpy()

    def _find_charges(
        self, potential: typing.Any, topology: typing.Any
    ) -> tuple[numpy.ndarray | None, numpy.ndarray | None]:
        """The molecule's charges [e] where a model computed them; the rows of the library charges where it did not."""
        if potential is None:
            return None, None
        matrix = topology.parameters["Electrostatics"].assignment_matrix
        if all(key.associated_handler == "LibraryCharges" for key in potential.parameter_keys):
            return None, self._map_rows(potential)[_find_rows(matrix, "Electrostatics")].numpy()
        return (matrix.to_dense() @ potential.parameters)[:, 0].numpy(), None

    def _map_rows(self, potential: typing.Any) -> torch.Tensor:
        """For each parameter that the stack used its row in the file.

        Raises:
            ValueError: it is not in the file, or has another value there.
        """
        type_ = str(potential.type)
        ours = self.potentials[type_]
        rows = []
        for key, values in zip(potential.parameter_keys, potential.parameters, strict=True):
            row = self.rows[type_].get(ParameterKey(key.id, key.mult))
            if row is None or not torch.allclose(values, ours.parameters[row], rtol=VALUE_TOLERANCE, atol=0.0):
                expected = None if row is None else ours.parameters[row].tolist()
                raise ValueError(f"{type_} {key.id}: the stack has {values.tolist()}, the force field file {expected}")
            rows.append(row)
        return torch.tensor(rows, dtype=torch.int64)


def sort_terms(type_: str, particle_idxs: numpy.ndarray, rows: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Interactions in the order of ``common.smirnoff.assignment``: by atoms from the lower end, then by row.

    The paths of an improper follow each other, its central atom standing first.
    """
    if type_ == "ImproperTorsions":
        outer = numpy.sort(particle_idxs[:, 1:], axis=1)
        terms = numpy.stack([outer[:, 0], particle_idxs[:, 0], outer[:, 1], outer[:, 2]], axis=1)
    else:
        flipped = particle_idxs[:, :1] > particle_idxs[:, -1:]
        particle_idxs = terms = numpy.where(flipped, particle_idxs[:, ::-1], particle_idxs)
    keys = numpy.concatenate([terms, rows[:, None], particle_idxs], axis=1)
    order = numpy.lexsort(keys.T[::-1])
    return particle_idxs[order].copy(), rows[order]


def sort_pairs(rows: torch.Tensor) -> numpy.ndarray:
    """Rows ``(i, j, value)`` in ascending order of i, then j."""
    array = rows.numpy()
    return array[numpy.lexsort((array[:, 1], array[:, 0]))]


def _find_exclusions(topology: typing.Any) -> dict[str, numpy.ndarray]:
    """Pairs one to three bonds apart, sorted; smee also lists those at four, which are not scaled."""
    maps = [topology.parameters[type_] for type_ in NONBONDED_TYPES if type_ in topology.parameters]
    if not maps:
        return {
            "exclusions": numpy.empty((0, 2), numpy.int64),
            "exclusion_scale_idxs": numpy.empty((0, 1), numpy.int64),
        }
    idxs = maps[0].exclusions.long().reshape(-1, 2), maps[0].exclusion_scale_idxs.long().reshape(-1, 1)
    pairs = sort_pairs(torch.cat(idxs, dim=1))
    pairs = pairs[pairs[:, 2] < MAX_EXCLUDED_BONDS]
    return {"exclusions": pairs[:, :2].copy(), "exclusion_scale_idxs": pairs[:, 2:].copy()}


class ChargeSource(typing.NamedTuple):
    """For the provenance: where charges come from, and the SHA-256 of the NAGL model, "" for other programs."""

    description: str
    sha256: str


def _load_force_field(file: ForceFieldFile) -> tuple[typing.Any, ChargeSource]:
    """The toolkit's ForceField without constraints, and what its charges come from.

    smee leaves out the bond and angle terms that constraints fix, which a fit to forces needs. Where the toolkit has
    no program for AM1-BCC, the NAGL model that was trained on it answers.

    Raises:
        ForceFieldError: the installed toolkit does not know a section of the file.
    """
    from openff.toolkit import ForceField
    from openff.toolkit.utils.nagl_wrapper import NAGLToolkitWrapper
    from openff.toolkit.utils.toolkits import GLOBAL_TOOLKIT_REGISTRY

    try:
        force_field = ForceField(file.text)
    except KeyError as error:
        first_line = str(error.args[0]).splitlines()[0]
        raise ForceFieldError(f"{file.name}: the installed openff-toolkit is too old for it ({first_line})") from error
    if "Constraints" in force_field.registered_parameter_handlers:
        force_field.deregister_parameter_handler("Constraints")
    description, method = describe_charges(file), choose_charge_method(file)
    if method is None or method.method != "model" or "Electrostatics" not in file.sections:
        return force_field, ChargeSource(description, "")
    toolkits = GLOBAL_TOOLKIT_REGISTRY.registered_toolkits
    if method.asked_for.lower() in AM1_BCC_METHODS:
        able = next((toolkit for toolkit in toolkits if "am1bcc" in toolkit.supported_charge_methods), None)
        if able is not None:
            program = f"{method.asked_for} ({method.section}) by {able.toolkit_name} {able.toolkit_version}"
            return force_field, ChargeSource(description.replace(method.describe(), program), "")
        _ask_nagl(force_field, method.model)
    if not any(isinstance(toolkit, NAGLToolkitWrapper) for toolkit in toolkits):
        GLOBAL_TOOLKIT_REGISTRY.register_toolkit(NAGLToolkitWrapper)
    return force_field, ChargeSource(description, load_weights(find_weights(method.model)).sha256)


def _ask_nagl(force_field: typing.Any, model: str) -> None:
    """Lets a NAGL model answer a force field that asks for AM1-BCC; charge increments, if it has them, stay."""
    if "ToolkitAM1BCC" in force_field.registered_parameter_handlers:
        force_field.deregister_parameter_handler("ToolkitAM1BCC")
    if "ChargeIncrementModel" in force_field.registered_parameter_handlers:
        force_field.get_parameter_handler("ChargeIncrementModel").partial_charge_method = model
    else:
        force_field.get_parameter_handler("ChargeIncrementModel", {"version": 0.3, "partial_charge_method": model})


@contextlib.contextmanager
def _quiet() -> collections.abc.Iterator[None]:
    """Without the stack's warnings about missing licences and undefined stereochemistry, one for each molecule."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def _make_parameterize(file: ForceFieldFile) -> Parameterize:
    return StackParameterizer(file).parameterize


def parameterize_with_openff(
    force_field: ForceFieldFile, smiles: collections.abc.Sequence[str], n_workers: int
) -> ParameterizedMolecules:
    """The engine "openff": the same record as ``common.smirnoff.parameterize.parameterize`` gives, by the OpenFF stack.

    Charges for ToolkitAM1BCC come from AmberTools or OpenEye where the toolkit finds them, else from the NAGL model;
    the provenance says which. Bond orders may be those of another Lewis structure of an aromatic ring.

    Args:
        force_field: what :func:`common.smirnoff.offxml.read_force_field` gives.
        smiles: mapped SMILES, each once.
        n_workers: number of processes.

    Raises:
        RuntimeError: the stack is not installed.
        ForceFieldError: the force field asks for what is not supported here or by the installed toolkit.
    """
    check_available()
    source = StackParameterizer(force_field).charge_source  # a fault shows here, not as a dead worker
    collector = collect(force_field, smiles, n_workers, Prepared(_make_parameterize, (force_field,)))
    return collector.finish("openff", *source, list_versions())
