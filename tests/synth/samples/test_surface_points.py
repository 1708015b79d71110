"""What the implicit model learns from: the truth lies where the picture shows it, whatever the fit and the framing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from carve.geometry.mesh import face_normals, vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import unskin
from carve.networks.encoder import BACK, BODY_BACK, BODY_FRONT, CHANNELS, FRONT, MASK, SIZE, lookup
from carve.networks.implicit import JOINTS, Architecture
from carve.records import CarveError
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.samples.fitted_body import FitErrors, FittedBodies
from carve.synth.samples.surface_points import Mixture, SurfacePoints
from synth.known_people import KnownPerson, known_person, small_assets, write_known

COUNTS = (400, 320)
CLOTH = 0.02


def with_distances(body: FullBody, person: KnownPerson) -> KnownPerson:
    """The person with samples of the signed distance of its cloth, 2 cm off the skin, in both spaces."""
    rng = np.random.default_rng(3)
    bones, weights = body.bones[body.base], body.weights[body.base]
    transforms = person.arrays["transforms"]
    placement = person.placements[0]
    posed = (person.scenes[0].vertices - placement.translation) @ placement.rotation
    canonical = unskin(posed, transforms, bones, weights)
    arrays = dict(person.arrays)
    # Evenly over the surface: vertices lie densely where fingers and faces are, which are too fine for the maps.
    area = np.linalg.norm(face_normals(posed, body.faces), axis=1)
    corners = body.faces[rng.choice(len(area), 3000, p=area / area.sum())]
    share = rng.dirichlet(np.ones(3), 3000)
    for space, vertices in (("canonical", canonical), ("posed", posed)):
        on = np.einsum("nk,nkd->nd", share, vertices[corners])
        normals = np.einsum("nk,nkd->nd", share, vertex_normals(vertices, body.faces)[corners])
        arrays[f"{space}_surface"], arrays[f"{space}_normal"] = on, normals / np.linalg.norm(normals, axis=1, keepdims=True)
        arrays[f"{space}_points"] = on + rng.normal(0, 0.02, (3000, 3))
        arrays[f"{space}_distance"] = MeshQueries(vertices, body.faces, winding=True).signed_distance(arrays[f"{space}_points"])
    return replace(person, arrays=arrays)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, full_body: FullBody, woman: ShapedBody) -> Path:
    """`people` of two with distances, one for validation; `without`; `assets`."""
    folder = tmp_path_factory.mktemp("surface")
    people = [known_person(full_body, woman, seed, views=1) for seed in range(2)]
    known = [with_distances(full_body, person) for person in people]
    write_known(folder / "people", {"a": ("train", known[0]), "b": ("val", known[1])})
    write_known(folder / "without", {"a": ("train", people[0])})
    small_assets(folder / "assets")
    return folder


def opened(folder: Path, architecture: Architecture | None = None, errors: FitErrors | None = None, **options: object) -> SurfacePoints:
    points = SurfacePoints(
        folder / "people", "train", folder / "assets", architecture or Architecture(), counts=COUNTS, **options  # type: ignore[arg-type]
    )  # fmt: skip
    if errors is not None:
        points._bodies._errors = errors
    return points


def posed_of(item: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Pixels (N, 2) and unit normals (N, 3), camera frame, of the surface points."""
    count = len(item["surface_normal"])
    linear, shift = item["transform"][:count, :, :3], item["transform"][:count, :, 3]
    posed = (linear @ item["position"][:count, :, None])[..., 0] + shift
    focal, cx, cy = item["camera"]
    pixels = torch.stack([cx - focal * posed[:, 0] / posed[:, 2], cy + focal * posed[:, 1] / posed[:, 2]], 1)
    normals = torch.linalg.solve(linear.transpose(1, 2), item["surface_normal"][..., None])[..., 0]
    return pixels, torch.nn.functional.normalize(normals, dim=1)


def angles_to_the_picture(item: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """Degrees between the normals of surface points, of those that face the viewer or away, and what the maps show at their pixels."""
    pixels, normals = posed_of(item)
    inside = ((pixels > 1) & (pixels < SIZE - 1)).all(1)
    found = {}
    for side, channels, sign in (("front", FRONT, 1), ("back", BACK, -1)):
        shown = lookup(item["maps"][None, channels], pixels[None], SIZE)[0]
        known = inside & (sign * normals[:, 2] > 0.4) & (shown.norm(dim=1) > 0.9)
        cosine = (torch.nn.functional.normalize(shown, dim=1) * normals).sum(1)[known]
        found[side] = torch.rad2deg(cosine.clamp(-1, 1).acos()).numpy()
    return found


EXACT = FitErrors(tilt=0.0, turn=0.0, twist=0.0, shift=0.0, girth=0.0)


@pytest.mark.parametrize("space", ["canonical", "posed"])
@pytest.mark.parametrize(
    ("errors", "true_body", "augmented", "limit"),
    [
        (None, 1.0, False, 4.0),
        (None, 1.0, True, 12.0),  # true normals are blurred and disturbed
        (replace(EXACT, turn=np.radians(4), twist=np.radians(10), shift=0.02, girth=0.01), 0.0, False, 6.0),
        (FitErrors(), 0.0, False, 15.0),  # the depth of limbs stays the fit's, normals are sheared with it
    ],
)
def test_surface_points_lie_where_the_picture_shows_their_normals(
    folder: Path, space: str, errors: FitErrors | None, true_body: float, augmented: bool, limit: float
) -> None:
    points = opened(folder, Architecture(space=space), errors, mixture=Mixture(true_body, 0.0), augmented=augmented)  # type: ignore[arg-type]
    flips = set()
    for epoch in range(6 if augmented else 2):
        item = points.draw(0, epoch)
        for side, angles in angles_to_the_picture(item).items():
            assert len(angles) > 20, side
            assert np.median(angles) < limit, side
            # What another limb hides shows that one's normals.
            assert np.percentile(angles, 80) < 2.5 * limit, side
        flips.add(bool(torch.linalg.det(item["transform"][0, :, :3]) < 0))
    assert flips == {False}, "a mirrored person is a person"


def test_a_fit_without_errors_is_the_true_body(folder: Path) -> None:
    fitted = opened(folder, errors=EXACT, mixture=Mixture(0.0, 0.0), augmented=False).draw(0, 0)
    true = opened(folder, mixture=Mixture(1.0, 0.0), augmented=False).draw(0, 0)
    assert len(true["position"]) == sum(COUNTS)
    surface = true["distance"][: COUNTS[0]]
    assert float(surface.median()) == pytest.approx(CLOTH, abs=0.002)
    for item in (fitted, true):
        body = (item["maps"][BODY_FRONT] != 0).any(0)
        assert float((body & (item["maps"][MASK] > 0.5)).sum() / body.sum()) > 0.5
    np.testing.assert_allclose(fitted["maps"][BODY_BACK], true["maps"][BODY_BACK], atol=1e-3)
    # Both draw other points of the same surface: they lie equally far from the body.
    assert float(fitted["distance"][: COUNTS[0]].median()) == pytest.approx(float(surface.median()), abs=0.001)


def test_fitted_bodies_skin_the_points_to_their_place(folder: Path) -> None:
    """In the picture, to where the true pose has them; in depth, to where the fit has the limb."""
    points = opened(folder, mixture=Mixture(0.0, 0.0), augmented=False)
    info, arrays = points.shards.person(0), points.shards.arrays(0)
    rotation, translation = (np.array(info["cameras"][0][name]) for name in ("rotation", "translation"))
    true = points._bodies.true(arrays, rotation, translation)
    fitted = points._bodies.fit(arrays, rotation, translation, np.random.default_rng(2))
    position, normal = arrays["canonical_surface"].astype(float)[:500], arrays["canonical_normal"].astype(float)[:500]
    carried = points._carry(true, fitted, position, normal)
    put = np.einsum("nab,nb->na", carried.transform[:, :, :3], carried.position) + carried.transform[:, :, 3]
    posed = arrays["posed_surface"].astype(float)[:500] @ rotation.T + translation
    project = lambda x: x[:, :2] / x[:, 2:]  # noqa: E731
    gap = np.linalg.norm(project(put) - project(posed), axis=1) * -posed[:, 2]
    assert np.median(gap) < 0.006
    assert np.percentile(gap, 90) < 0.03
    np.testing.assert_allclose(np.linalg.norm(carried.normal, axis=1), 1, atol=1e-6)


def test_the_true_pose_at_the_fitted_depth_keeps_the_picture(full_body: FullBody, folder: Path) -> None:
    bodies = FittedBodies(full_body)
    points = opened(folder)
    info, arrays = points.shards.person(0), points.shards.arrays(0)
    rotation, translation = (np.array(info["cameras"][0][name]) for name in ("rotation", "translation"))
    true = bodies.true(arrays, rotation, translation)
    np.testing.assert_allclose(bodies.true_at_depth_of(true, true), true.transforms, atol=1e-12)
    fitted = bodies.fit(arrays, rotation, translation, np.random.default_rng(5))
    moved = replace(true, transforms=bodies.true_at_depth_of(true, fitted))
    places = {}
    for name, body in (("true", true), ("fitted", fitted), ("moved", moved)):
        places[name] = np.einsum("bij,bj->bi", body.transforms[:, :, :3], body.heads) + body.transforms[:, :, 3]
    ends = np.unique(bodies._limbs)
    pixel = lambda x: x[:, :2] / x[:, 2:]  # noqa: E731
    np.testing.assert_allclose(places["moved"][ends, 2], places["fitted"][ends, 2], atol=1e-9)
    np.testing.assert_allclose(pixel(places["moved"])[ends], pixel(places["true"])[ends], atol=1e-9)
    assert np.abs(places["true"] - places["fitted"])[:, 2].max() > 0.01


@pytest.mark.parametrize("architecture", [Architecture(), Architecture(space="posed", image="both")])
def test_items_have_their_shapes_and_come_again(folder: Path, architecture: Architecture) -> None:
    points = opened(folder, architecture, mixture=Mixture(0.0, 1.0))
    first, again, other = points.draw(0, 3), points.draw(0, 3), points.draw(0, 4)
    count = sum(COUNTS)
    shapes = {"maps": (CHANNELS, SIZE, SIZE), "camera": (3,), "reference": (), "joints": (len(JOINTS), 3), "position": (count, 3)} | {
        "transform": (count, 3, 4), "distance": (count,), "gradient": (count, 3), "normal": (count, 3), "region": (count,),
        "surface_normal": (COUNTS[0], 3), "target": (count,),
    }  # fmt: skip
    assert {name: tuple(value.shape) for name, value in first.items()} == shapes
    for name, value in first.items():
        assert torch.isfinite(value).all(), name
        assert torch.equal(value, again[name]), name
    assert not torch.equal(first["position"], other["position"])


def test_data_without_distances_is_refused(folder: Path) -> None:
    with pytest.raises(CarveError, match="no-distances"):
        SurfacePoints(folder / "without", "train", folder / "assets", Architecture())
