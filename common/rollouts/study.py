"""All that is found out about potentials in use, section by section: numbers for metrics.json, and figures."""

import dataclasses
import json
import pathlib
import typing

import torch
from matplotlib.figure import Figure

from common.body_trajectories.simulation import Protocol
from common.body_trajectories.systems import UNITS, BodySystem
from common.body_trajectories.trajectories import Trajectories
from common.dynamics.rigid_bodies import Motion, integrate
from common.files.atomic import replace_atomically
from common.files.plain import write_json
from common.reporting.pages import Picture
from common.reporting.plots import render_svg
from common.rollouts import pictures as drawing
from common.rollouts.accuracy import compute_cuts, compute_parity
from common.rollouts.candidates import EXACT, Candidate, make_exact_candidate, measure_window
from common.rollouts.costs import N_PAIRS, measure_costs
from common.rollouts.ensembles import (
    QUANTITIES,
    build_histogram,
    choose_edges,
    compare_histograms,
    compute_total_variation,
    prepare_liquid,
    sample_pairs,
    sample_structure,
)
from common.rollouts.horizons import compute_horizon, compute_stability
from common.rollouts.report import describe_training, render_report
from common.runs.names import propose_names

REPORT = "report.html"

LIQUID_SPACING = 1.2
"""Edge of the box for each body of a liquid, over the mean of the nearest and the median distance of the data."""


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """How much is simulated; times in intervals of the frames.

    Attributes:
        step: of the integrator.
        rollout_length: of rollouts against true trajectories.
        short_time: at which their error is told.
        long_length, n_long: of rollouts that show whether motion stays bounded.
        n_chains, chain_length, chain_step, friction: of Langevin dynamics of pairs; without chains it is left out.
        liquid_bodies, liquid_frames, liquid_box: of a small liquid; without frames it is left out.
        seed: of noise and places.
    """

    step: float
    rollout_length: float
    short_time: float
    long_length: float
    n_long: int
    n_chains: int
    chain_length: float
    chain_step: float
    friction: float
    liquid_bodies: int
    liquid_frames: int
    liquid_box: float | None
    seed: int


class Study:
    """A study of potentials on test trajectories.

    Attributes:
        metrics: what has been found so far, plain values.
        pictures: by section of the report.
    """

    def __init__(self, settings: StudySettings, candidates: list[Candidate], data: Trajectories):
        self.settings, self.candidates, self.data = settings, candidates, data
        self.system: BodySystem = self.data.system
        self.exact = make_exact_candidate(self.system)
        self.all = ([self.exact] if self.exact else []) + candidates
        self.colours = drawing.choose_colours([one.name for one in self.all])
        self.kt = self.data.kt or 1.0
        self.interval = self.data.interval
        self.pictures: dict[str, Picture] = {}
        body = self.system.kinds[0]
        self.metrics: dict[str, typing.Any] = {
            "units": UNITS[self.system.units],
            "kt": self.kt,
            "n_bodies": len(self.system.bodies),
            "n_sites": body.n_sites,
            "has_exact": self.exact is not None,
            "data": {
                "n_trajectories": self.data.n_trajectories,
                "n_frames": self.data.n_frames,
                "interval": self.interval,
            },
            "short_time": settings.short_time * self.interval,
            "settings": dataclasses.asdict(settings),
            "candidates": {
                one.name: {
                    "training": describe_training(one.record),
                    "n_parameters": sum(p.numel() for p in one.learned.parameters()) if one.learned else 0,
                    "record": one.record,
                }
                for one in candidates
            },
        }

    def draw(self, name: str, figure: Figure, description: str) -> None:
        self.pictures[name] = Picture(f"{name}.svg", description, render_svg(figure))

    def study_accuracy(self) -> None:
        """Parity, where the exact potential is known, and cuts."""
        units = self.system.units
        cuts = compute_cuts(self.candidates, self.exact, self.data, self.kt)
        self.draw("cuts", drawing.plot_cuts(cuts, self.colours, units), "Energies along cuts")
        self.metrics["cuts"] = {cut.name: cut.find_minimum(EXACT) if self.exact else None for cut in cuts}
        parities = {}
        for one in self.candidates:
            own = self.metrics["candidates"][one.name]
            own["cut_minima"] = {cut.name: cut.find_minimum(one.name) for cut in cuts}
            if self.exact is not None:
                parities[one.name] = compute_parity(one, self.exact, self.data)
                own["parity"] = parities[one.name].summarise(self.kt)
        if parities:
            figure = drawing.plot_parities(parities, units)
            self.draw("parity", figure, "Energies, forces and torques against those of all sites")

    def study_rollouts(self) -> None:
        """How long rollouts follow, whether they stay bounded, and a film strip of one."""
        settings, step = self.settings, self.settings.step * self.interval
        length = min(settings.rollout_length, self.data.n_frames - 1) * self.interval
        horizons = {one.name: compute_horizon(one, self.data, step, length) for one in self.all}
        for one in self.candidates:
            own = self.metrics["candidates"][one.name]
            short = self.metrics["short_time"]
            own["horizon"] = {"short": horizons[one.name].at(short), "end": float(horizons[one.name].separation[-1])}
            stability = compute_stability(one, self.data, step, settings.long_length * self.interval, settings.n_long)
            own["stability"] = {
                **dataclasses.asdict(stability),
                "energy_error_kt": stability.energy_error / self.kt,
                "drift_kt": stability.drift / self.kt,
            }
        window = measure_window(self.candidates, self.interval)
        figure = drawing.plot_horizons(horizons, self.colours, window, self.system.units)
        self.draw("horizons", figure, "Median errors of rollouts against time")
        self.draw("strip", self.draw_strip(), "Moments of one rollout of each potential")

    def draw_strip(self) -> Figure:
        n_frames = min(50, self.data.n_frames - 1)
        start = Motion(*(values[:1, 0] for values in self.data.motion))
        n_steps = max(1, round(1.0 / self.settings.step))
        rollouts = {}
        for one in self.all[:3]:
            field = self.system.add_spring(one.build(self.system)).compute_field
            step = self.interval / n_steps
            with torch.no_grad():
                frames = [start, *integrate(start, field, self.system.build_inertia(), step, n_frames, n_steps)]
            rollouts[one.name] = Motion(*(torch.cat(values) for values in zip(*frames, strict=True)))
        return drawing.plot_strip(rollouts, self.system, self.interval)

    def study_distributions(self) -> None:
        """Langevin dynamics of pairs; two samples of all sites are the control."""
        settings = self.settings
        if settings.n_chains == 0 or self.exact is None or len(self.system.bodies) != 2:
            return
        start = self._draw_starts(settings.n_chains)
        n_frames = round(settings.chain_length)
        samples = {
            name: sample_pairs(one, self.system, start, self._build_protocol(50.0, seed), n_frames)
            for seed, (name, one) in enumerate([*((one.name, one) for one in self.all), ("control", self.exact)])
        }
        edges = {name: choose_edges([own[name] for own in samples.values()], name) for name in QUANTITIES}
        histograms = {
            name: {quantity: build_histogram(own[quantity], edges[quantity]) for quantity in QUANTITIES}
            for name, own in samples.items()
        }
        compared = {
            measure: {
                name: {quantity: compare(own[quantity], histograms[EXACT][quantity]) for quantity in QUANTITIES}
                for name, own in histograms.items()
                if name != EXACT
            }
            for measure, compare in (("agreement", compare_histograms), ("variation", compute_total_variation))
        }
        for measure, by_name in compared.items():
            for own in by_name.values():
                own["all"] = sum(own.values()) / len(own)
            for one in self.candidates:
                self.metrics["candidates"][one.name][measure] = by_name[one.name]
        histograms.pop("control")
        self.metrics["ensemble"] = {
            "n_chains": settings.n_chains,
            "time": n_frames * self.interval,
            "quantities": list(QUANTITIES),
            "control": {measure: by_name["control"]["all"] for measure, by_name in compared.items()},
        }
        figure = drawing.plot_distributions(histograms, self.colours, self.system.units)
        self.draw("distributions", figure, "Distributions of distance and orientation")

    def _draw_starts(self, n_chains: int) -> Motion:
        """Frames of the test trajectories, far from each other."""
        flat = Motion(*(values.flatten(0, 1) for values in self.data.motion))
        chosen = torch.linspace(0, len(flat.positions) - 1, n_chains).long()
        return Motion(*(values[chosen] for values in flat))

    def _build_protocol(self, equilibration: float, seed: int) -> Protocol:
        settings, interval = self.settings, self.interval
        return Protocol(
            self.kt,
            settings.friction / interval,
            settings.chain_step * interval,
            equilibration * interval,
            settings.chain_step * interval,
            interval,
            1,
            settings.seed * 1_000_003 + seed,
        )

    def study_liquid(self) -> None:
        """g(r) of a small liquid, with the interactions of all potentials switched off alike."""
        settings = self.settings
        if (
            settings.liquid_frames == 0
            or settings.liquid_bodies < 2
            or self.exact is None
            or len(self.system.kinds) > 1
        ):
            return
        motion = self.data.motion
        r = (motion.positions[:, :, 1] - motion.positions[:, :, 0]).norm(dim=-1)
        spacing = LIQUID_SPACING * 0.5 * (float(r.min()) + float(r.median()))
        box = settings.liquid_box or spacing * settings.liquid_bodies ** (1.0 / 3.0)
        liquid = BodySystem(
            (self.system.kinds[0],) * settings.liquid_bodies,
            self.system.site_terms,
            None,
            box,
            0.5 * box,
            self.system.units,
        )
        protocol = dataclasses.replace(self._build_protocol(100.0, 77), interval=2.0 * self.interval)
        start = prepare_liquid(liquid, self.exact, protocol)
        structures = {
            one.name: sample_structure(one, liquid, start, protocol, settings.liquid_frames) for one in self.all
        }
        self.metrics["liquid"] = {"n_bodies": settings.liquid_bodies, "box": box, "cutoff": 0.5 * box}
        for one in self.candidates:
            difference = abs(structures[one.name].values - structures[EXACT].values)
            self.metrics["candidates"][one.name]["structure_error"] = float(difference.mean())
        figure = drawing.plot_structures(structures, self.colours, self.system.units)
        self.draw("structure", figure, "Radial distribution functions of a small liquid")

    def study_costs(self) -> None:
        """Cost of a pair against the number of sites."""
        costs = measure_costs([one for one in self.candidates if one.learned is not None], self.system)
        self.metrics["costs"] = {**dataclasses.asdict(costs), "n_pairs": N_PAIRS}
        figure = drawing.plot_costs(costs, self.colours, self.system.kinds[0].n_sites)
        self.draw("costs", figure, "Cost of a pair against the number of sites")

    def run(self) -> None:
        """All sections."""
        self.study_accuracy()
        self.study_rollouts()
        self.study_distributions()
        self.study_liquid()
        self.study_costs()

    def write(self, output: pathlib.Path) -> pathlib.Path:
        """The folder of the report; report.html comes last."""
        output.mkdir(parents=True, exist_ok=True)
        folder = next(output / name for name in propose_names() if not (output / name).exists())
        for picture in self.pictures.values():
            with replace_atomically(folder / "figures" / picture.file_name) as beside:
                beside.write_bytes(picture.contents)
        metrics = json.loads(json.dumps(self.metrics, default=str))
        write_json(folder / "metrics.json", metrics)
        files = ["metrics.json", *(f"figures/{picture.file_name}" for picture in self.pictures.values())]
        title = " and ".join(one.name for one in self.candidates)
        with replace_atomically(folder / REPORT) as beside:
            beside.write_text(render_report(metrics, self.pictures, files, title), encoding="utf-8")
        return folder
