"""How many steps and seconds the hypernetwork saves the fit of a posed signed distance, on people that training never saw.

    python benchmarks/convergence.py DATA [--people 10] [--weights DIR] [--work out/convergence] [--skip-sensitivity]

DATA is a folder of `carve synth make` with distances. Each person of its split val is seen by one camera with true front and back normals;
the coarse surface is the true clothed one, blurred (standard deviation about 2 cm). The fit of `stages/field_fit.py` is run from four
starts: weights that the hypernetwork makes, weights of a mean posed body, a ball, and random ones. Its loss is looked at every ten steps,
with averaged weights, at vertices of the true surface that no fit sees, with their true normals, the same for all starts; curves are means
of three looks. L is what the random start has reached after 1,500 steps. Steps and seconds to reach L are counted for every start, the
hypernetwork's own time included, looks not; seconds are the process's own on one thread, so that a busy machine gives the same. A start
that does not reach L within 1,500 steps counts as 1,500 (ratio 1). The random start's own entry says when it first was at L.

Sensitivity: the default number of steps from the hypernetwork, with the coarse surface in a pose that is wrong by 5 and 10 degrees
(standard deviation of each limb's three angles) against the same maps, and with maps blurred by 4 pixels: mean angle between the field's
gradient and the maps at held-out places, degrees, at the start and at the end.

What is finished for a person is kept in --work and only read. Results go to convergence.json and convergence.png beside this file.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from carve.body.skin_field import SkinField
from carve.geometry.camera import Camera
from carve.geometry.mesh import diffuse, largest_component, vertex_normals
from carve.networks.hyper import HyperNet, load_hyper_net
from carve.networks.posed_field import Told, Weights, misfit
from carve.networks.weights import FOLDER, read_card
from carve.records import NormalMaps
from carve.stages.refine import Params, shown_normals
from carve.stages.refining.field_fit import Evidence, FieldFit, FitParams, Start
from carve.synth.people.bodies import load_full_body
from carve.synth.photo.augmentation import Field, Motion, augment, stored_members
from carve.synth.samples.fitted_body import ARRAYS, FitErrors, FittedBodies, FittedBody
from carve.synth.store.shard_reader import ShardSet, open_shards

HERE = Path(__file__).parent
FIELDS: tuple[Field, ...] = ("normal_front", "normal_back")
STARTS: tuple[Start, ...] = ("hypernetwork", "body", "sphere", "random")
STEPS, EVERY, SIZE = 1500, 10, 512
BLUR = 60
"""Rounds of averaging over neighbours."""


class Person:
    """One held-out person before a camera."""

    def __init__(self, shards: ShardSet, p: int) -> None:
        body = load_full_body()
        self._bodies = FittedBodies(body)
        self._arrays = shards.arrays(p, (*ARRAYS, "outer_vertices", "outer_faces"))
        info, v = shards.person(p), p % int(shards.header["settings"]["views"])
        self._rotation, self._translation = (np.array(info["cameras"][v][name]) for name in ("rotation", "translation"))
        view = shards.view(p, v, ("coverage", *stored_members(FIELDS)))
        truth = augment(view, tuple(info["landmarks"]), Motion(), SIZE, FIELDS)
        self._camera: Camera = truth.camera
        self._front, self._back = (truth.normals[name].transpose(1, 2, 0) for name in FIELDS)
        vertices, self._faces = largest_component(
            self._arrays["outer_vertices"].astype(float), self._arrays["outer_faces"].astype(np.int64)
        )
        bones, weights = body.bones[body.base], body.weights[body.base]
        field = SkinField(self._arrays["body_canonical"].astype(float), body.faces, bones, weights, body.region)
        self._vertices, self._field, self._near = vertices, field, field.near(vertices)
        self._true = self._bodies.true(self._arrays, self._rotation, self._translation)

    def evidence(self, degrees: float = 0.0, blur: float = 0.0) -> Evidence:
        """The coarse surface in the true or a wrong pose, and the maps' normals there, true or blurred (pixels).

        `surface` then holds the vertices and normals before the blur, in that pose.
        """
        fitted = self._true if not degrees else self._wrong(np.radians(degrees))
        maps = self._field.blend(self._vertices, self._near, fitted.transforms).astype(float)
        posed = np.einsum("nab,nb->na", maps[:, :, :3], self._vertices) + maps[:, :, 3]
        self.surface = posed, vertex_normals(posed, self._faces)
        posed = diffuse(posed, self._faces, BLUR)
        front, back = (_blurred(image, blur) for image in (self._front, self._back))
        normals = NormalMaps(front, back, np.full(front.shape[:2], -12.0, np.float32), (front != 0).any(-1))
        wanted, trust = shown_normals(posed, self._faces, normals, self._camera, replace(Params(), back_trust=1.0))
        return Evidence(posed, self._faces, wanted, trust, fitted.transforms[0, :, 2])

    def _wrong(self, spread: float) -> FittedBody:
        errors = FitErrors(tilt=spread, turn=spread, twist=spread, shift=0.0, girth=0.0)
        limbs = FittedBodies(load_full_body(), errors)
        for seed in range(1000):
            # Each person's errors are these times a factor of its own: one whose factor is near 1 is wanted.
            rng = np.random.default_rng(seed)
            if abs(float(np.random.default_rng(seed).uniform(0.0, 1.6)) - 1) < 0.02:
                break
        return limbs.fit(self._arrays, self._rotation, self._translation, rng)


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """(H, W, 3) float32 unit normals, softened."""
    soft = cv2.GaussianBlur(np.ascontiguousarray(image, np.float32), (0, 0), sigma) if sigma else image
    there = (image != 0).any(-1, keepdims=True)
    return np.where(there, soft / np.maximum(np.linalg.norm(soft, axis=-1, keepdims=True), 1e-6), 0).astype(np.float32)


def curve(fit: FieldFit, held: Told, start: Start, network: HyperNet, until: float | None) -> dict[str, Any]:
    """Losses at held-out places every EVERY steps, and the seconds that each took; ends once the mean of three is at `until`."""
    begin = time.process_time()
    weights = fit.start(start, network)
    clock = {"spent": time.process_time() - begin, "since": 0.0}
    found: dict[str, list[float]] = {"step": [], "seconds": [], "loss": [], "normal": []}

    def look(step: int, average: Weights) -> bool:
        now = time.process_time()
        if step:
            clock["spent"] += now - clock["since"]
        if step % EVERY == 0:
            with torch.no_grad():
                loss, parts = misfit(average, held, fit.params.balance)
            for name, value in (
                ("step", step),
                ("seconds", clock["spent"]),
                ("loss", float(loss[0])),
                ("normal", float(parts["normal"][0])),
            ):
                found[name].append(value)
        clock["since"] = time.process_time()
        return until is not None and smooth(found["loss"])[-1] <= until

    if not look(0, weights):
        fit.run(weights, look)
    return found


def smooth(losses: list[float]) -> np.ndarray:
    """Means of each loss and the two before it."""
    padded = [losses[0]] * 2 + losses
    return np.convolve(padded, np.ones(3) / 3, "valid")


def reached(found: dict[str, Any], level: float) -> tuple[float, float]:
    """Steps and seconds at which the smoothed loss is at `level`; those of the last look if it never is."""
    below = np.flatnonzero(smooth(found["loss"]) <= level)
    place = int(below[0]) if len(below) else len(found["loss"]) - 1
    return float(found["step"][place]), float(found["seconds"][place])


def measure(shards: ShardSet, p: int, network: HyperNet, sensitivity: bool) -> dict[str, Any]:
    """Curves of all starts, and the sensitivity's angles, of one person."""
    person = Person(shards, p)
    params = FitParams(steps=STEPS, patience=STEPS)
    fit = FieldFit(person.evidence(), params)
    held = fit.held_out(person.surface)
    FieldFit(person.evidence(), replace(params, steps=2)).run(fit.start("random", network))  # the first steps of a process are slow
    curves = {"random": curve(fit, held, "random", network, None)}
    level = float(smooth(curves["random"]["loss"])[-1])
    for start in STARTS[:-1]:
        curves[start] = curve(fit, held, start, network, level)
    result: dict[str, Any] = {"level": level, "reached": {s: reached(curves[s], level) for s in STARTS}, "curves": curves}
    if sensitivity:
        result["degrees"] = {}
        for name, degrees, blur in (
            ("as above", 0.0, 0.0),
            ("pose 5 deg", 5.0, 0.0),
            ("pose 10 deg", 10.0, 0.0),
            ("blurred maps", 0.0, 4.0),
        ):
            other = FieldFit(person.evidence(degrees, blur), FitParams())
            looks = other.run(other.start("hypernetwork", network)).looks
            chord = [looks[0].held_normal, looks[-1].held_normal]
            result["degrees"][name] = [round(float(np.degrees(2 * np.arcsin(min(c / 2, 1.0)))), 2) for c in chord]
    return result


def summary(people: dict[str, dict[str, Any]], weights: Path) -> dict[str, Any]:
    """Medians over people, and mean curves."""
    ratios: dict[str, dict[str, float]] = {}
    for start in STARTS:
        against = [np.array(r["reached"][start]) / [STEPS, r["curves"]["random"]["seconds"][-1]] for r in people.values()]
        ratios[start] = {
            "steps_ratio": float(np.median([a[0] for a in against])),
            "seconds_ratio": float(np.median([a[1] for a in against])),
        }
    curves = {}
    for start in STARTS:
        ended = [smooth(r["curves"][start]["loss"]) for r in people.values()]
        seconds = [np.array(r["curves"][start]["seconds"]) for r in people.values()]
        count = min(len(e) for e in ended)  # a curve ends where the start has reached L
        curves[start] = {
            "step": [EVERY * k for k in range(count)],
            "seconds": np.round(np.median([s[:count] for s in seconds], 0), 3).tolist(),
            "loss": np.round(np.mean([e[:count] for e in ended], 0), 4).tolist(),
        }
    each = {
        key: {"level": round(r["level"], 4), **{s: [round(v, 2) for v in r["reached"][s]] for s in STARTS}} for key, r in people.items()
    }
    given = [r["degrees"] for r in people.values() if "degrees" in r]
    degrees = {name: np.round(np.median([d[name] for d in given], 0), 2).tolist() for name in given[0]} if given else {}
    return {
        "steps_ratio": round(ratios["hypernetwork"]["steps_ratio"], 4),
        "seconds_ratio": round(ratios["hypernetwork"]["seconds_ratio"], 4),
        "starts": ratios,
        "people": each,
        "degrees_start_and_end": degrees,
        "weights": read_card("hyper", weights).get("sha256"),
        "threads": torch.get_num_threads(),
        "curves": curves,
    }


def draw(found: dict[str, Any], path: Path) -> None:
    """The mean curves against steps and against seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    for plot, key in zip(figure.subplots(1, 2, sharey=True), ("step", "seconds"), strict=True):
        for start in STARTS:
            plot.plot(found["curves"][start][key], found["curves"][start]["loss"], label=start, lw=1)
        plot.set_xlabel(key)
        plot.set_xscale("symlog", linthresh=100 if key == "step" else 1)
        plot.set_yscale("log")
        plot.grid(alpha=0.3)
    figure.axes[0].set_ylabel("loss at held-out places")
    figure.axes[0].legend()
    figure.savefig(path, dpi=110)


def main() -> None:
    """One line a person."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--weights", type=Path, default=FOLDER)
    parser.add_argument("--work", type=Path, default=Path("out/convergence"))
    parser.add_argument("--skip-sensitivity", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    network = load_hyper_net(arguments.weights)
    shards = open_shards(arguments.data, "val", verify=False)
    folder = arguments.work / str(read_card("hyper", arguments.weights)["sha256"])[:12]
    folder.mkdir(parents=True, exist_ok=True)
    people: dict[str, dict[str, Any]] = {}
    for p, key in enumerate(shards.people()[: arguments.people]):
        kept = folder / f"{key}.json"
        if not kept.is_file():
            result = measure(shards, p, network, not arguments.skip_sensitivity)
            kept.with_suffix(".part").write_text(json.dumps(result))
            kept.with_suffix(".part").replace(kept)
        people[key] = json.loads(kept.read_text())
        line = " ".join(f"{s} {people[key]['reached'][s][0]:.0f} ({people[key]['reached'][s][1]:.2f} s)" for s in STARTS)
        print(f"{key} L {people[key]['level']:.4f} {line} {people[key].get('degrees', '')}", flush=True)
    found = summary(people, arguments.weights)
    (HERE / "convergence.json").write_text(json.dumps(found, indent=1) + "\n")
    draw(found, HERE / "convergence.png")
    print(json.dumps({k: v for k, v in found.items() if k not in ("curves", "people")}, indent=1))


if __name__ == "__main__":
    main()
