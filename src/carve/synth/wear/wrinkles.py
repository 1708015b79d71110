"""Folds in cloth that is skinned, not simulated: heights along the normals that follow from the pose and from how clothes hang.

Notation: C, P rest and posed vertices (V, 3); F = dP/dC on a triangle with principal stretches s1 >= s2; e = 1 / s2 - 1 the excess of
cloth across a fold; T = sum e d d^T the slack tensor, d the unit direction of compression; L wavelength; a crest height.

1. Slack: T of every triangle by its strain, spread over the cloth around it, plus the slack that worn clothes have where they are too
   long or hang from something (`_Sources`): sleeves and trouser legs that stack up, elbows, knees, armpits, the crotch, the waist.
2. Strokes: lines of folds run across the greatest slack. They are traced as evenly spaced streamlines (Jobard & Lefer, "Creating
   evenly-spaced streamlines of arbitrary density", 1997), in three sizes, each with a length of its own.
3. Heights: along each stroke a ridge with a valley on either side. A sine wave of excess length e has a = L sqrt(e) / pi
   (arc length L (1 + (pi a / L)^2) to second order), which sets the height.
4. Limits: clearance to what is below, slope, and triangles that would turn over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from carve.geometry.compiled import compiled
from carve.geometry.mesh import face_normals, vertex_normals

Triple = tuple[float, float, float]

CLOTH = ("top", "bottom", "dress", "suit", "coat")
"""Parts (`carve.synth.records.PARTS`) that fold; all others get no strength."""

STEEPEST = 0.25
"""Largest height of a fold as a share of its wavelength."""

DEEPEST = 0.012
"""Largest height of a fold, metres."""

EDGES_PER_WAVE = 2.6
"""Shortest wavelength in lengths of the longest edge at a vertex."""

USED_CLEARANCE = 0.6
"""Share of the clearance that a fold may take inwards."""

SAMPLE = 0.16
"""Distance of the samples of a stroke as a share of the wavelength."""

REACH = 1.35
"""How far from its line a stroke moves the cloth and keeps others of its size away, in wavelengths."""

GROUPS = ("torso", "left_arm", "right_arm", "left_leg", "right_leg")
"""Parts of the body whose cloth folds about one chain of bones."""

_CHAINS = (
    ("hips", "spine", "chest", "upperChest", "neck"),
    ("leftUpperArm", "leftLowerArm", "leftHand"),
    ("rightUpperArm", "rightLowerArm", "rightHand"),
    ("leftUpperLeg", "leftLowerLeg", "leftFoot"),
    ("rightUpperLeg", "rightLowerLeg", "rightFoot"),
)
"""VRM bones of the groups' axes."""


@dataclass(frozen=True)
class Params:
    """How one garment folds."""

    strength: float
    """Factor on all heights; 0 is smooth."""
    wavelength: float
    """Factor on all wavelengths: about 0.7 for thin, soft cloth, 1.4 for stiff."""
    pose: float
    """Factor on the slack that bending makes."""
    prestretch: float
    """Compression that stretched cloth takes up before it folds."""
    joints: float
    """Slack at elbows and knees, as are all that follow."""
    stacks: float
    """Slack above the ends of long sleeves and trouser legs."""
    pulls: float
    """Slack that radiates from armpits, crotch and buttons."""
    drape: float
    """Slack around the body that hangs in soft vertical folds."""
    waist: float
    """Slack along the body at the waist."""
    tilt: float
    """Largest deviation of the folds from their ideal direction, radians."""
    patches: float
    """0: folds everywhere alike; 1: in groups with smooth cloth between them."""
    length: float
    """Factor on the lengths of folds."""
    skew: float
    """How much steeper one side of a fold is than the other, 0..0.6."""
    creases: float
    """Share of strokes that are valleys."""
    fine: float
    """Height of the small folds relative to the main ones."""


def sample_params(rng: np.random.Generator, part: str, tightness: float) -> Params:
    """Draw how a garment folds.

    Args:
        rng: source of chance.
        part: one of `carve.synth.records.PARTS`; those that are not cloth get no strength.
        tightness: 0 wide, 1 skin-tight.
    """
    loose = 1.0 - float(np.clip(tightness, 0.0, 1.0))
    spread = lambda sigma: float(np.exp(sigma * rng.standard_normal()))  # noqa: E731
    stiff = {"coat": 1.3, "suit": 1.1, "bottom": 1.05}.get(part, 1.0) * spread(0.16)
    return Params(
        strength=float(np.clip(1.0 * spread(0.25), 0.45, 1.5)) * (part in CLOTH),
        wavelength=float(np.clip((0.78 + 0.3 * loose) * stiff, 0.6, 1.6)),
        pose=0.8 * spread(0.2),
        prestretch=0.06 * (1 - loose) * spread(0.3),
        joints=(0.10 + 0.08 * loose) * spread(0.4),
        stacks=(0.12 + 0.15 * loose) * spread(0.4),
        pulls=(0.08 + 0.06 * loose) * spread(0.4),
        drape=0.10 * loose * spread(0.5),
        waist=(0.05 + 0.07 * loose) * spread(0.5),
        tilt=float(rng.uniform(0.25, 0.6)),
        patches=float(rng.uniform(0.5, 1.0)),
        length=spread(0.2),
        skew=float(rng.uniform(0.0, 0.5)),
        creases=float(rng.uniform(0.0, 0.3)),
        fine=float(rng.uniform(0.2, 0.6)),
    )


@dataclass
class _Sources:
    """Places of slack by design. `band`: d is an axis, turned in the surface; `pin`: folds run away from a point."""

    rows: list[np.ndarray]

    def add(
        self,
        kind: Literal["band", "pin"],
        group: int,
        point: np.ndarray,
        axis: np.ndarray,
        reach: float,
        slack: float,
        turn: float = 0.0,
        facing: np.ndarray | None = None,
    ) -> None:
        """`reach` metres is the standard deviation along `axis` (band) or from `point` (pin); `turn` radians from the axis to d.

        With `facing` only cloth that faces that way is slack; a pin's axis, if not zero, is the side of it that has folds.
        """
        length = float(np.linalg.norm(axis))
        unit = axis / length if length > 0 else axis
        face = np.zeros(3) if facing is None else facing / np.linalg.norm(facing)
        self.rows.append(np.concatenate([[float(kind == "pin"), group], point, unit, [reach, slack, turn], face]))

    @property
    def table(self) -> np.ndarray:
        """(N, 14)"""
        return np.array(self.rows).reshape(-1, 14)


def wrinkles(
    canonical: np.ndarray,
    posed: np.ndarray,
    faces: np.ndarray,
    bones: np.ndarray,
    weights: np.ndarray,
    heads: np.ndarray,
    posed_heads: np.ndarray,
    parents: np.ndarray,
    humanoid: Mapping[str, int],
    clearance: np.ndarray,
    params: Params,
    rng: np.random.Generator,
) -> np.ndarray:
    """Heights (V,), metres, of the folds of one garment along `vertex_normals(posed, faces)`.

    Args:
        canonical: (V, 3) the unstressed shape with the limbs apart, canonical or better at rest; +Y up, facing +Z.
        posed: (V, 3) the same vertices in the pose, +Y against gravity.
        faces: (F, 3) wound outward.
        bones: (V, 4) indices.
        weights: (V, 4) rows sum to 1.
        heads: (B, 3) bone heads in the pose of `canonical`.
        posed_heads: (B, 3).
        parents: (B,) -1 for the root, parents before children.
        humanoid: VRM 1.0 bone -> index of a bone; slack by design needs the bones of `_CHAINS`, that from strain needs none.
        clearance: (V,) free metres below the cloth; at most USED_CLEARANCE of it is taken.
        params: from `sample_params`.
        rng: source of chance; equal states give equal folds.
    """
    count = len(canonical)
    if params.strength == 0.0 or count == 0:
        return np.zeros(count)
    start, neighbour, uses = _neighbours(faces, count)
    normal = vertex_normals(canonical, faces)
    group = _groups(parents, humanoid)
    share = _group_weights(bones, weights, group)
    longest = _longest_edges(canonical, start, neighbour)
    radius = _radii(canonical, share, *_axes(heads, humanoid))
    wave = np.clip(params.wavelength * (0.016 + 0.3 * radius), 0.022, 0.11)
    sources = _sources(canonical, share, heads, posed_heads, humanoid, params, rng)
    waves = _noise_waves(rng)
    bending = _strain(canonical, posed, faces, params.prestretch)
    wave = _diffuse(np.ascontiguousarray(wave[:, None]), start, neighbour, 6)[:, 0]
    # Shirts and jackets slide over the shoulders where skinning squeezes them.
    tensor = _diffuse(bending, start, neighbour, 8)
    tensor[:, :6] *= params.pose * (1 - 0.45 * share[:, :1])
    rim, damping = _rims(canonical, start, neighbour, uses)
    fold, slack = _fold_lines(canonical, normal, tensor, share, sources, waves, params.tilt, params.patches)
    fold = _aligned(fold, normal, start, neighbour, 3)
    height = np.zeros(count)
    for scale, share_of_height in ((1.8, 0.55), (1.0, 1.0), (0.6, params.fine)):
        wanted = wave * scale
        length = np.maximum(wanted, EDGES_PER_WAVE * longest)
        # Folds that the triangles are too long for are left to the larger sizes.
        seen = np.clip(3 * wanted / length - 2, 0, 1) if scale < 1 else np.ones(count)
        amount = slack * share_of_height**2 * seen
        key = rng.random(count) ** (1 / np.maximum(np.sqrt(amount), 1e-6))
        order = np.argsort(-key)
        chance = rng.random((count, 8))
        height += _strokes(
            canonical,
            normal,
            start,
            neighbour,
            rim,
            fold,
            amount,
            length,
            longest,
            order,
            chance,
            params.length,
            params.skew,
            params.creases,
        )
    height *= params.strength * damping
    most = np.minimum(STEEPEST * np.maximum(wave, EDGES_PER_WAVE * longest), DEEPEST)
    height = most * np.tanh(height / most)
    return _limited(height, canonical, posed, faces, start, neighbour, clearance)


def _neighbours(faces: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row starts (V + 1,), neighbours (2 E,) and how many triangles use each of these edges (2 E,)."""
    a, b = faces[:, [0, 1, 2]].ravel(), faces[:, [1, 2, 0]].ravel()
    ones = np.ones(2 * len(a), np.int32)
    matrix = sparse.coo_matrix((ones, (np.concatenate([a, b]), np.concatenate([b, a]))), shape=(count, count)).tocsr()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data


def _groups(parents: np.ndarray, humanoid: Mapping[str, int]) -> np.ndarray:
    """(B,) index into GROUPS: a bone's chain, else its parent's."""
    own: dict[int, int] = {}
    for index, chain in enumerate(_CHAINS):
        own |= {humanoid[name]: index for name in chain if name in humanoid}
    group = np.zeros(len(parents), np.int64)
    for bone, parent in enumerate(parents):
        group[bone] = own.get(bone, group[parent] if parent >= 0 else 0)
    return group


def _group_weights(bones: np.ndarray, weights: np.ndarray, group: np.ndarray) -> np.ndarray:
    """(V, 5) skinning weight of each group."""
    share = np.zeros((len(bones), len(GROUPS)))
    for k in range(bones.shape[1]):
        share[np.arange(len(bones)), group[bones[:, k]]] += weights[:, k]
    return share


def _axes(heads: np.ndarray, humanoid: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ends (5, 4, 2, 3) of the segments of each group's chain and how many of them there are (5,)."""
    ends, number = np.zeros((len(_CHAINS), 4, 2, 3)), np.zeros(len(_CHAINS), np.int64)
    for g, chain in enumerate(_CHAINS):
        points = [heads[humanoid[name]] for name in chain if name in humanoid]
        number[g] = max(len(points) - 1, 0)
        for k in range(number[g]):
            ends[g, k] = points[k], points[k + 1]
    return ends, number


def _sources(
    rest: np.ndarray,
    share: np.ndarray,
    heads: np.ndarray,
    posed_heads: np.ndarray,
    humanoid: Mapping[str, int],
    params: Params,
    rng: np.random.Generator,
) -> np.ndarray:
    """The table of `_Sources` of a garment; body parts that it does not reach get none that matter."""
    sources = _Sources([])
    have = lambda names: all(name in humanoid for name in names)  # noqa: E731
    for g, chain in enumerate(_CHAINS):
        if g and have(chain):
            upper, lower, end = (heads[humanoid[name]] for name in chain)
            top, bottom = posed_heads[humanoid[chain[0]]], posed_heads[humanoid[chain[1]]]
            hanging = float(np.clip((top - bottom)[1] / max(np.linalg.norm(top - bottom), 1e-9), -1, 1))
            _limb_sources(sources, rest, share[:, g], g, (upper, lower, end), hanging, params, rng)
    if have((*_CHAINS[0], "leftUpperLeg", "rightUpperLeg", "leftUpperArm", "rightUpperArm")):
        _torso_sources(sources, rest, share[:, 0], {name: heads[index] for name, index in humanoid.items()}, params, rng)
    return sources.table


def _limb_sources(
    sources: _Sources,
    rest: np.ndarray,
    share: np.ndarray,
    group: int,
    joints: tuple[np.ndarray, np.ndarray, np.ndarray],
    hanging: float,
    params: Params,
    rng: np.random.Generator,
) -> None:
    """Slack of a sleeve or a trouser leg; `hanging` is 1 where the limb hangs down and -1 where it is raised."""
    upper, lower, end = joints
    arm = group in (1, 2)
    first, second = float(np.linalg.norm(lower - upper)), float(np.linalg.norm(end - lower))
    if first < 1e-6 or second < 1e-6:
        return
    vary = lambda: float(np.exp(0.4 * rng.standard_normal()))  # noqa: E731
    along, shin = (lower - upper) / first, (end - lower) / second
    covered = rest[share > 0.5]
    if not len(covered):
        return
    hem = float(((covered - lower) @ shin).max()) / second
    weight = 0.35 + 0.65 * max(hanging, 0.0)
    if hem > 0.25:
        width = (0.22 if arm else 0.17) * first
        sources.add(
            "band", group, lower + rng.normal(0, 0.06) * first * along, along + shin, width, params.joints * vary(), rng.normal(0, 0.3)
        )
    if hem > 0.75:
        reach = (0.26 if arm else 0.19) * second * vary()
        sources.add(
            "band", group, lower + min(hem, 1.02) * second * shin, shin, reach, params.stacks * weight * vary(), rng.normal(0, 0.25)
        )
    # A hanging sleeve or leg twists: oblique folds over all of it.
    sources.add(
        "band",
        group,
        upper + rng.uniform(0.4, 0.9) * first * along,
        along,
        0.45 * first,
        0.3 * params.joints * weight * vary(),
        float(rng.choice([-1.0, 1.0])) * rng.uniform(0.4, 0.9),
    )
    sources.add("band", group, lower + 0.3 * second * shin, shin, 0.4 * second, params.drape * 0.5 * vary(), np.pi / 2 + rng.normal(0, 0.2))
    if arm:
        side = 1.0 if group == 1 else -1.0
        below = np.cross(along, np.array([0.0, 0.0, 1.0])) * side
        armpit = upper + 0.10 * first * along - abs(0.3 * first) * below * np.sign(below[1])
        for towards in (-1.0, 1.0):
            face = np.array([0.0, 0.0, towards])
            sources.add("pin", group, armpit, np.zeros(3), 0.35 * first, params.pulls * weight * vary(), facing=face)
            sources.add("pin", 0, armpit, np.zeros(3), 0.4 * first, params.pulls * 0.9 * weight * vary(), facing=face)


def _torso_sources(
    sources: _Sources, rest: np.ndarray, share: np.ndarray, heads: Mapping[str, np.ndarray], params: Params, rng: np.random.Generator
) -> None:
    """Slack of shirts, jackets, dresses and of the upper part of trousers."""
    vary = lambda: float(np.exp(0.45 * rng.standard_normal()))  # noqa: E731
    up, front = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, 1.0])
    hips = 0.5 * (heads["leftUpperLeg"] + heads["rightUpperLeg"])
    shoulders = 0.5 * (heads["leftUpperArm"] + heads["rightUpperArm"])
    wide = abs(heads["leftUpperArm"] - heads["rightUpperArm"])[0]
    tall = float((shoulders - hips)[1])
    crotch = hips - np.array([0.0, 0.17 * tall, 0.0])
    for group in (0, 3, 4):
        for face in (front, -front):
            sources.add("pin", group, crotch, np.zeros(3), 0.24 * tall, params.pulls * 1.2 * vary(), facing=face)
    waist = hips + rng.uniform(0.22, 0.42) * tall * up
    for face in (front, -front):
        sources.add("band", 0, waist, up, 0.14 * tall, params.waist * vary(), rng.normal(0, 0.3), facing=face)
        # Cloth hangs from the breast or the shoulder blades, one side more than the other.
        for side in (-1.0, 1.0):
            point = shoulders + np.array([side * wide * rng.uniform(0.15, 0.35), -rng.uniform(0.1, 0.3) * tall, 0.0])
            sources.add("pin", 0, point, -up, 0.45 * tall, params.drape * 1.2 * vary(), facing=face)
        sources.add(
            "band", 0, hips + 0.3 * tall * up, up, 0.35 * tall, 0.6 * params.drape * vary(), np.pi / 2 + rng.normal(0, 0.15), facing=face
        )
    if rng.random() < 0.6:
        button = waist + np.array([rng.normal(0, 0.02), 0.05 * tall, 0.0])
        sources.add("pin", 0, button, np.zeros(3), 0.2 * tall, params.pulls * 0.8 * vary(), facing=front)
    for side in (-1.0, 1.0):
        joint = heads["leftUpperArm" if side > 0 else "rightUpperArm"]
        sources.add("pin", 0, joint + np.array([0.0, 0.05, 0.0]), -up, 0.25 * tall, params.pulls * 0.4 * vary())


def _noise_waves(rng: np.random.Generator) -> np.ndarray:
    """(2, 6, 4) wave vectors and phases of two smooth random fields with features of 10 to 40 cm."""
    direction = rng.standard_normal((2, 6, 3))
    direction /= np.linalg.norm(direction, axis=-1, keepdims=True)
    number = 2 * np.pi / rng.uniform(0.14, 0.45, (2, 6, 1))
    return np.concatenate([direction * number, rng.uniform(0, 2 * np.pi, (2, 6, 1))], axis=-1)


def _rims(rest: np.ndarray, start: np.ndarray, neighbour: np.ndarray, uses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V,) bool on a boundary, and a factor (V,) that keeps waistbands and collars, from which cloth hangs down, flat."""
    count = len(rest)
    row = np.repeat(np.arange(count), np.diff(start))
    rim = np.zeros(count, bool)
    rim[row[uses == 1]] = True
    number = np.maximum(np.diff(start), 1)
    step = rest[neighbour] - rest[row]
    steep = step[:, 1] / np.maximum(np.linalg.norm(step, axis=1), 1e-12)
    inward = np.bincount(row, np.where(rim[neighbour], 0.0, steep), minlength=count) / number
    held = np.where(rim, np.where(inward < -0.15, 1.0, 0.35), 0.0)
    for _ in range(3):
        held = np.maximum(held, 0.72 * _largest(held, start, neighbour))
    return rim, 1.0 - 0.75 * held


@compiled(nogil=True, inline="always")
def _dot(a: Triple, b: Triple) -> float:
    """Dot product; of tuples, which cost no allocation."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@compiled(nogil=True, inline="always")
def _cross(a: Triple, b: Triple) -> Triple:
    """Cross product."""
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@compiled(nogil=True)
def _wave_sum(waves: np.ndarray, x: Triple) -> float:
    """Sum of sines of wave vectors and phases (N, 4) at a point."""
    total = 0.0
    for k in range(len(waves)):
        total += np.sin(waves[k, 0] * x[0] + waves[k, 1] * x[1] + waves[k, 2] * x[2] + waves[k, 3])
    return total


@compiled(nogil=True)
def _largest(values: np.ndarray, start: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """(V,) largest of each vertex's neighbours."""
    out = np.zeros(len(values))
    for v in range(len(values)):
        for k in range(start[v], start[v + 1]):
            out[v] = max(out[v], values[neighbour[k]])
    return out


@compiled(nogil=True)
def _longest_edges(points: np.ndarray, start: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """(V,) longest edge at each vertex."""
    out = np.zeros(len(points))
    for v in range(len(points)):
        most = 0.0
        for k in range(start[v], start[v + 1]):
            w = neighbour[k]
            square = (points[v, 0] - points[w, 0]) ** 2 + (points[v, 1] - points[w, 1]) ** 2 + (points[v, 2] - points[w, 2]) ** 2
            most = max(most, square)
        out[v] = np.sqrt(most)
    return out


@compiled(nogil=True)
def _radii(points: np.ndarray, share: np.ndarray, ends: np.ndarray, number: np.ndarray) -> np.ndarray:
    """(V,) distance of cloth from the axes of the limbs that carry it; 0.08 m where there is no axis."""
    out = np.zeros(len(points))
    for v in range(len(points)):
        for g in range(share.shape[1]):
            if share[v, g] <= 0.0:
                continue
            nearest = 1e9
            for k in range(number[g]):
                a, b = ends[g, k, 0], ends[g, k, 1]
                ab = (b[0] - a[0], b[1] - a[1], b[2] - a[2])
                av = (points[v, 0] - a[0], points[v, 1] - a[1], points[v, 2] - a[2])
                t = min(max(_dot(ab, av) / max(_dot(ab, ab), 1e-12), 0.0), 1.0)
                away = (av[0] - t * ab[0], av[1] - t * ab[1], av[2] - t * ab[2])
                nearest = min(nearest, np.sqrt(_dot(away, away)))
            out[v] += share[v, g] * (min(nearest, 0.2) if number[g] > 0 else 0.08)
    return out


@compiled(nogil=True)
def _strain(rest: np.ndarray, posed: np.ndarray, faces: np.ndarray, taken: float) -> np.ndarray:
    """(V, 7) slack tensors (xx, yy, zz, xy, yz, zx) in the rest frame and the stretch s1 - 1, area-weighted means of the triangles around.

    Slack is 1 / s2 - 1, at most 1, less `taken`; cloth that is stretched in one direction adds a tenth of s1 - 1 across it.
    """
    out, total = np.zeros((len(rest), 7)), np.zeros(len(rest))
    for f in range(len(faces)):
        i, j, k = faces[f, 0], faces[f, 1], faces[f, 2]
        p = (rest[j, 0] - rest[i, 0], rest[j, 1] - rest[i, 1], rest[j, 2] - rest[i, 2])
        q = (rest[k, 0] - rest[i, 0], rest[k, 1] - rest[i, 1], rest[k, 2] - rest[i, 2])
        n = _cross(p, q)
        double, base = np.sqrt(_dot(n, n)), np.sqrt(_dot(p, p))
        if double < 1e-12 or base < 1e-9:
            continue
        x = (p[0] / base, p[1] / base, p[2] / base)
        n = (n[0] / double, n[1] / double, n[2] / double)
        y = _cross(n, x)
        qx, qy = _dot(q, x), _dot(q, y)
        pu = (posed[j, 0] - posed[i, 0], posed[j, 1] - posed[i, 1], posed[j, 2] - posed[i, 2])
        u = (pu[0] / base, pu[1] / base, pu[2] / base)
        pv = (posed[k, 0] - posed[i, 0], posed[k, 1] - posed[i, 1], posed[k, 2] - posed[i, 2])
        v = ((pv[0] - qx * u[0]) / qy, (pv[1] - qx * u[1]) / qy, (pv[2] - qx * u[2]) / qy)
        a, b, c = _dot(u, u), _dot(u, v), _dot(v, v)
        middle, spread = (a + c) / 2, np.sqrt(((a - c) / 2) ** 2 + b * b)
        s1, s2 = np.sqrt(middle + spread), np.sqrt(max(middle - spread, 0.0))
        stretch = min(max(s1 - 1.0, 0.0), 0.6)
        slack = min(1.0 / max(s2, 0.5) - 1.0, 1.0) + 0.1 * stretch - taken
        for corner in (i, j, k):
            total[corner] += double
            out[corner, 6] += double * stretch
        if slack <= 0.0 or spread < 1e-9:
            continue
        # The eigenvector of the smaller eigenvalue, from whichever row is longer.
        small = middle - spread
        ex, ey = (b, small - a) if abs(small - a) > abs(small - c) else (small - c, b)
        size = np.sqrt(ex * ex + ey * ey)
        d = ((ex * x[0] + ey * y[0]) / size, (ex * x[1] + ey * y[1]) / size, (ex * x[2] + ey * y[2]) / size)
        for corner in (i, j, k):
            w = double * slack
            out[corner, 0] += w * d[0] * d[0]
            out[corner, 1] += w * d[1] * d[1]
            out[corner, 2] += w * d[2] * d[2]
            out[corner, 3] += w * d[0] * d[1]
            out[corner, 4] += w * d[1] * d[2]
            out[corner, 5] += w * d[2] * d[0]
    for vertex in range(len(rest)):
        if total[vertex] > 0:
            out[vertex] /= total[vertex]
    return out


@compiled(nogil=True)
def _diffuse(values: np.ndarray, start: np.ndarray, neighbour: np.ndarray, rounds: int) -> np.ndarray:
    """(V, C) after so many rounds of half a vertex and half its neighbours' mean."""
    now, other = values.copy(), np.empty_like(values)
    columns = values.shape[1]
    for _ in range(rounds):
        for v in range(len(now)):
            n = start[v + 1] - start[v]
            for c in range(columns):
                total = 0.0
                for k in range(start[v], start[v + 1]):
                    total += now[neighbour[k], c]
                other[v, c] = 0.5 * now[v, c] + 0.5 * total / n if n > 0 else now[v, c]
        now, other = other, now
    return now


@compiled(nogil=True)
def _fold_lines(
    points: np.ndarray,
    normals: np.ndarray,
    bending: np.ndarray,
    share: np.ndarray,
    sources: np.ndarray,
    waves: np.ndarray,
    tilt: float,
    patches: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Unit directions (V, 3) in which folds run, sign arbitrary, and the excess (V,) of cloth across them."""
    fold, slack = np.zeros((len(points), 3)), np.zeros(len(points))
    for v in range(len(points)):
        x = (points[v, 0], points[v, 1], points[v, 2])
        n = (normals[v, 0], normals[v, 1], normals[v, 2])
        first, second = 0.6 * _wave_sum(waves[0], x), 0.6 * _wave_sum(waves[1], x)
        patch = min(max(1.0 - patches + patches * (0.45 + 0.75 * first), 0.0), 1.7)
        # A frame of the tangent plane.
        p = _cross((0.0, n[2], -n[1]) if abs(n[0]) < 0.7 else (-n[2], 0.0, n[0]), n)
        size = np.sqrt(_dot(p, p)) + 1e-12
        p = (p[0] / size, p[1] / size, p[2] / size)
        q = _cross(n, p)
        t = bending[v]
        tp = (t[0] * p[0] + t[3] * p[1] + t[5] * p[2], t[3] * p[0] + t[1] * p[1] + t[4] * p[2], t[5] * p[0] + t[4] * p[1] + t[2] * p[2])
        tq = (t[0] * q[0] + t[3] * q[1] + t[5] * q[2], t[3] * q[0] + t[1] * q[1] + t[4] * q[2], t[5] * q[0] + t[4] * q[1] + t[2] * q[2])
        free = max(1.0 - 3.0 * t[6], 0.0)  # taut cloth lies flat
        some = 0.6 + 0.4 * patch
        a, b, c = some * _dot(p, tp), some * _dot(p, tq), some * _dot(q, tq)
        for s in range(len(sources)):
            row = sources[s]
            here = share[v, int(row[1])]
            if here < 0.02:
                continue
            away = (x[0] - row[2], x[1] - row[3], x[2] - row[4])
            axis, facing = (row[5], row[6], row[7]), (row[11], row[12], row[13])
            reach, amount = row[8], row[9] * here * patch * free
            if row[0] == 0.0:
                amount *= np.exp(-0.5 * (_dot(away, axis) / reach) ** 2)
                dp, dq = _dot(axis, p), _dot(axis, q)
            else:
                square = _dot(away, away)
                rp, rq = _dot(away, p), _dot(away, q)
                amount *= np.exp(-0.5 * square / reach**2) * min(1.0, np.sqrt(rp * rp + rq * rq) / (0.25 * reach))
                if _dot(axis, axis) > 0:
                    amount *= min(max(0.3 + 1.4 * _dot(away, axis) / (np.sqrt(square) + 1e-9), 0.0), 1.0)
                dp, dq = -rq, rp
            if _dot(facing, facing) > 0:
                amount *= min(max(0.25 + 1.2 * _dot(facing, n), 0.0), 1.0)
            size = np.sqrt(dp * dp + dq * dq)
            if amount < 1e-4 or size < 1e-6:
                continue
            cosine, sine = np.cos(row[10]) / size, np.sin(row[10]) / size
            dp, dq = cosine * dp - sine * dq, sine * dp + cosine * dq
            a += amount * dp * dp
            b += amount * dp * dq
            c += amount * dq * dq
        middle, spread = (a + c) / 2, np.sqrt(((a - c) / 2) ** 2 + b * b)
        # Where slack has no direction, cloth does not fold, it hangs loose.
        slack[v] = max(middle + spread - 0.6 * max(middle - spread, 0.0), 0.0)
        angle = 0.5 * np.arctan2(2 * b, a - c) + np.pi / 2 + tilt * second
        for axis_index in range(3):
            fold[v, axis_index] = np.cos(angle) * p[axis_index] + np.sin(angle) * q[axis_index]
    return fold, slack


@compiled(nogil=True)
def _aligned(fold: np.ndarray, normals: np.ndarray, start: np.ndarray, neighbour: np.ndarray, rounds: int) -> np.ndarray:
    """Directions (V, 3) averaged with their neighbours', whatever the signs."""
    now, other = fold.copy(), np.empty_like(fold)
    for _ in range(rounds):
        for v in range(len(now)):
            x, y, z = 1.5 * now[v, 0], 1.5 * now[v, 1], 1.5 * now[v, 2]
            for k in range(start[v], start[v + 1]):
                w = neighbour[k]
                same = now[w, 0] * now[v, 0] + now[w, 1] * now[v, 1] + now[w, 2] * now[v, 2] >= 0
                sign = 1.0 if same else -1.0
                x, y, z = x + sign * now[w, 0], y + sign * now[w, 1], z + sign * now[w, 2]
            out = x * normals[v, 0] + y * normals[v, 1] + z * normals[v, 2]
            x, y, z = x - out * normals[v, 0], y - out * normals[v, 1], z - out * normals[v, 2]
            size = np.sqrt(x * x + y * y + z * z)
            if size > 1e-9:
                other[v, 0], other[v, 1], other[v, 2] = x / size, y / size, z / size
            else:
                other[v] = now[v]
        now, other = other, now
    return now


@compiled(nogil=True)
def _grid(points: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Points sorted into cubes of side `cell`: lowest corner (3,), cubes along each axis (3,), starts, point of each place."""
    low, high = np.empty(3), np.empty(3)
    for axis in range(3):
        low[axis], high[axis] = points[:, axis].min(), points[:, axis].max()
    size = ((high - low) / cell).astype(np.int64) + 1
    index = np.empty(len(points), np.int64)
    starts = np.zeros(size[0] * size[1] * size[2] + 1, np.int64)
    for v in range(len(points)):
        i = np.int64((points[v, 0] - low[0]) / cell)
        j = np.int64((points[v, 1] - low[1]) / cell)
        k = np.int64((points[v, 2] - low[2]) / cell)
        index[v] = (i * size[1] + j) * size[2] + k
        starts[index[v] + 1] += 1
    starts = np.cumsum(starts)
    fill, which = starts.copy(), np.empty(len(points), np.int64)
    for v in range(len(points)):
        which[fill[index[v]]] = v
        fill[index[v]] += 1
    return low, size, starts, which


@compiled(nogil=True, inline="always")
def _square(a: np.ndarray, b: Triple) -> float:
    """Squared distance."""
    return (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2 + (a[2] - b[2]) ** 2


@compiled(nogil=True)
def _trace(
    seed: int,
    sign: float,
    most: float,
    least_slack: float,
    points: np.ndarray,
    normals: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    rim: np.ndarray,
    fold: np.ndarray,
    slack: np.ndarray,
    length: np.ndarray,
    longest: np.ndarray,
    covered: np.ndarray,
    out: np.ndarray,
) -> int:
    """Follow a fold from a vertex for at most `most` metres into `out`; returns the number of rows.

    Rows: point, direction, normal, slack, wavelength.
    """
    v, p = seed, (points[seed, 0], points[seed, 1], points[seed, 2])
    d = (sign * fold[seed, 0], sign * fold[seed, 1], sign * fold[seed, 2])
    step, gone, number = SAMPLE * length[seed], 0.0, 0
    while number < len(out) and gone < most:
        moved, nearest = True, _square(points[v], p)
        while moved:
            moved = False
            for k in range(start[v], start[v + 1]):
                w = neighbour[k]
                square = _square(points[w], p)
                if square < nearest:
                    nearest, v, moved = square, w, True
                    break
        if nearest > (1.5 * longest[v]) ** 2 or (rim[v] and number > 0 and nearest > (0.5 * longest[v]) ** 2):
            break
        mean = np.zeros(12)
        for k in range(start[v] - 1, start[v + 1]):
            w = v if k < start[v] else neighbour[k]
            weight = np.exp(-2 * _square(points[w], p) / (longest[v] ** 2 + 1e-12))
            side = weight if fold[w, 0] * d[0] + fold[w, 1] * d[1] + fold[w, 2] * d[2] >= 0 else -weight
            for c in range(3):
                mean[c] += weight * points[w, c]
                mean[3 + c] += weight * normals[w, c]
                mean[6 + c] += side * fold[w, c]
            mean[9] += weight * slack[w]
            mean[10] += weight * length[w]
            mean[11] += weight
        mean /= mean[11]
        size = np.sqrt(mean[3] ** 2 + mean[4] ** 2 + mean[5] ** 2) + 1e-12
        n = (mean[3] / size, mean[4] / size, mean[5] / size)
        above = _dot((p[0] - mean[0], p[1] - mean[1], p[2] - mean[2]), n)
        p = (p[0] - above * n[0], p[1] - above * n[1], p[2] - above * n[2])
        # Cloth does not turn at once.
        f = (mean[6] + 0.8 * d[0], mean[7] + 0.8 * d[1], mean[8] + 0.8 * d[2])
        above = _dot(f, n)
        f = (f[0] - above * n[0], f[1] - above * n[1], f[2] - above * n[2])
        size = np.sqrt(_dot(f, f))
        if size < 0.2 or mean[9] < least_slack or covered[v] > 0.6:
            break
        d = (f[0] / size, f[1] / size, f[2] / size)
        for c in range(3):
            out[number, c], out[number, 3 + c], out[number, 6 + c] = p[c], d[c], n[c]
        out[number, 9], out[number, 10] = mean[9], mean[10]
        number += 1
        p = (p[0] + step * d[0], p[1] + step * d[1], p[2] + step * d[2])
        gone += step
    return number


@compiled(nogil=True)
def _strokes(
    points: np.ndarray,
    normals: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    rim: np.ndarray,
    fold: np.ndarray,
    slack: np.ndarray,
    length: np.ndarray,
    longest: np.ndarray,
    order: np.ndarray,
    chance: np.ndarray,
    lengthen: float,
    skew: float,
    creases: float,
) -> np.ndarray:
    """(V,) heights of folds of wavelengths `length` (V,), seeded in the order of vertices `order`, `chance` (V, 8) uniform numbers."""
    height, covered = np.zeros(len(points)), np.full(len(points), -1.0)
    cell = 0.025
    low, size, starts, which = _grid(points, cell)
    one, two = np.empty((120, 11)), np.empty((120, 11))
    for rank in range(len(order)):
        seed = order[rank]
        luck = chance[rank]
        if slack[seed] < 0.01 or covered[seed] > 1.0 - (0.75 + 0.75 * luck[0]) / REACH:
            continue
        wave = length[seed]
        most = lengthen * wave * (1.8 + 5.0 * luck[1])
        least = slack[seed] * (0.1 + 0.2 * luck[2])
        forward = _trace(
            seed, 1.0, most * (0.3 + luck[3]), least, points, normals, start, neighbour, rim, fold, slack, length, longest, covered, one
        )
        back = _trace(
            seed, -1.0, most * (1.3 - luck[3]), least, points, normals, start, neighbour, rim, fold, slack, length, longest, covered, two
        )
        number = forward + back - 1
        step = SAMPLE * wave
        if forward < 1 or back < 1 or number * step < 1.5 * wave:
            covered[seed] = max(covered[seed], 0.3)
            continue
        # The fold is pinned at one end, where it rises fast, and dies out towards the other.
        rise, fall = 0.35 + 0.5 * luck[4], 0.7 + 0.8 * luck[5]
        if luck[6] < 0.5:
            rise, fall = fall, rise
        peak = (rise / (rise + fall)) ** rise * (fall / (rise + fall)) ** fall
        side = -1.0 if luck[7] < creases else 1.0
        lean = skew if luck[4] + luck[5] < 1.0 else -skew
        size_of = side * (0.65 + 0.6 * luck[0])
        for m in range(0, number, 2):
            row = two[back - 1 - m] if m < back else one[m - back + 1]
            t = (m + 0.5) / number
            taper = t**rise * (1 - t) ** fall / peak
            ahead = -1.0 if m < back else 1.0
            p, n = (row[0], row[1], row[2]), (row[6], row[7], row[8])
            d = (ahead * row[3], ahead * row[4], ahead * row[5])
            across = _cross(n, d)
            wide = row[10] * (0.8 + 0.4 * luck[2])
            # The profile below spans 0.75 from top to bottom, a sine wave 2 a: a crest of about 2.4 a, at most a quarter wave deep.
            crest = size_of * taper * wide * min(2.4 * np.sqrt(row[9]) / np.pi, 0.32)
            sigma = 0.3 * wide
            share = 2 * step / (sigma * np.sqrt(2 * np.pi))
            reach = REACH * wide
            i0, i1 = max(int((p[0] - reach - low[0]) / cell), 0), min(int((p[0] + reach - low[0]) / cell), size[0] - 1)
            j0, j1 = max(int((p[1] - reach - low[1]) / cell), 0), min(int((p[1] + reach - low[1]) / cell), size[1] - 1)
            k0, k1 = max(int((p[2] - reach - low[2]) / cell), 0), min(int((p[2] + reach - low[2]) / cell), size[2] - 1)
            for i in range(i0, i1 + 1):
                for j in range(j0, j1 + 1):
                    base = (i * size[1] + j) * size[2]
                    for place in range(starts[base + k0], starts[base + k1 + 1]):
                        v = which[place]
                        x, y, z = points[v, 0] - p[0], points[v, 1] - p[1], points[v, 2] - p[2]
                        square = x * x + y * y + z * z
                        if square > reach * reach:
                            continue
                        agree = normals[v, 0] * n[0] + normals[v, 1] * n[1] + normals[v, 2] * n[2]
                        if agree < 0.2:
                            continue
                        covered[v] = max(covered[v], 1.0 - np.sqrt(square) / reach)
                        along = (x * d[0] + y * d[1] + z * d[2]) / sigma
                        if abs(along) > 3.0:
                            continue
                        u = (x * across[0] + y * across[1] + z * across[2]) / wide
                        u *= 1.0 + lean * np.tanh(4.0 * u)
                        ridge = np.exp(-10.0 * u * u) - 0.42 * np.exp(-2.4 * u * u)
                        height[v] += crest * ridge * share * np.exp(-0.5 * along * along) * min((agree - 0.2) * 2.5, 1.0)
    return height


def _limited(
    height: np.ndarray,
    rest: np.ndarray,
    posed: np.ndarray,
    faces: np.ndarray,
    start: np.ndarray,
    neighbour: np.ndarray,
    clearance: np.ndarray,
) -> np.ndarray:
    """Heights (V,) that keep to the clearance, to slopes below about 45 degrees, and turn no triangle over."""
    room = np.maximum(USED_CLEARANCE * clearance, 0.0)
    height = np.where(height < 0, -room * np.tanh(-height / np.maximum(room, 1e-9)), height)
    height = _gentle(height, rest, posed, start, neighbour, 0.9, 4)
    normal, before = vertex_normals(posed, faces), face_normals(posed, faces)
    area = np.maximum((before**2).sum(1), 1e-24)
    for _ in range(6):
        after = face_normals(posed + height[:, None] * normal, faces)
        bad = np.einsum("fi,fi->f", after, before) < 0.15 * area
        if not bad.any():
            return height
        factor = np.ones(len(height))
        factor[faces[bad].ravel()] = 0.4
        height = height * factor
    height[faces[bad].ravel()] = 0.0
    return height


@compiled(nogil=True)
def _gentle(
    height: np.ndarray, rest: np.ndarray, posed: np.ndarray, start: np.ndarray, neighbour: np.ndarray, slope: float, rounds: int
) -> np.ndarray:
    """Heights (V,) drawn towards the neighbours' (never past zero) where they differ by more than `slope` times the edge."""
    now, room = height.copy(), np.empty(len(neighbour))
    for v in range(len(now)):
        for k in range(start[v], start[v + 1]):
            w = neighbour[k]
            a = (rest[w, 0], rest[w, 1], rest[w, 2])
            b = (posed[w, 0], posed[w, 1], posed[w, 2])
            room[k] = slope * np.sqrt(min(_square(rest[v], a), _square(posed[v], b)))
    for _ in range(rounds):
        for v in range(len(now)):
            here = now[v]
            for k in range(start[v], start[v + 1]):
                there = now[neighbour[k]]
                # Of two vertices on different sides of zero each may take half the room.
                limit = abs(there) + room[k] if here * there > 0 else max(room[k] - abs(there), 0.5 * room[k])
                if abs(here) > limit:
                    here = limit if here > 0 else -limit
            now[v] = here
    return now
