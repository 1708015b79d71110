"""The clothed surface from a signed distance that is known: the body's own, with clothes that stand off it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.clothes.hanging import Hem
from carve.body.finishing import bone_maps, face_vertices
from carve.body.model import REGIONS
from carve.body.skin_field import BodyPoints, SkinField
from carve.geometry.camera import Camera
from carve.geometry.mesh import components, is_watertight, signed_volume, unique_edges
from carve.geometry.queries import MeshQueries
from carve.geometry.relief.normal_maps import front_and_back
from carve.geometry.skinning import skin
from carve.networks.implicit import Architecture, ImplicitNet
from carve.records import BodyFit, CanonicalSurface, NormalMaps, StageError
from carve.stages.clothed import Asked, Params, Worn, _apart, build_clothed, clothed_surface
from intersections import intersecting_faces
from synthetic import Truth

COARSE = Params(resolution=96)  # type: ignore[arg-type]  # for what does not depend on the cells
CLOTH = 0.03
BARE = [i for i, name in enumerate(REGIONS) if name == "head" or name.endswith("hand")]
TORSO, LEFT_FOOT = REGIONS.index("torso"), REGIONS.index("left_foot")


def dressed(thickness: float = CLOTH, error: float = 0.01) -> Asked:
    """Clothes of one thickness on all but head and hands, and an expected error."""

    def asked(points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        return near.distance - np.where(np.isin(near.region, BARE), 0.0, thickness), np.full(len(points), np.log(error))

    return asked


def with_ball(asked: Asked, centre: np.ndarray, radius: float) -> Asked:
    """The same, united with a ball."""

    def both(points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        f, log_scale = asked(points, near)
        return np.minimum(f, np.linalg.norm(points - centre, axis=1) - radius), log_scale

    return both


def head_of(body: BodyFit, humanoid: str) -> np.ndarray:
    """(3,) head of a humanoid bone."""
    return body.skeleton.heads[body.skeleton.names.index(body.skeleton.humanoid[humanoid])]


@pytest.fixture(scope="module")
def field(clothed: Truth) -> SkinField:
    return SkinField.of(clothed.body)


@pytest.fixture(scope="module")
def queries() -> list[int]:
    return []


@pytest.fixture(scope="module")
def surface(clothed: Truth, field: SkinField, queries: list[int]) -> CanonicalSurface:
    def counted(points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        queries.append(len(points))
        return dressed()(points, near)

    return clothed_surface(clothed.body, field, counted, Params())


def test_the_surface_is_one_closed_piece_that_does_not_cut_itself(surface: CanonicalSurface) -> None:
    assert is_watertight(surface.faces)
    assert signed_volume(surface.vertices, surface.faces) > 0.05
    assert components(surface.faces, len(surface.vertices)).max() == 0
    assert len(np.unique(surface.faces)) == len(surface.vertices)
    assert intersecting_faces(surface.vertices, surface.faces).mean() < 0.001
    assert 20000 < len(surface.vertices) < 60000


def test_few_points_are_asked(surface: CanonicalSurface, queries: list[int]) -> None:
    assert sum(queries) < 0.03 * 256**3


def test_clothes_stand_off_where_the_field_says(surface: CanonicalSurface, field: SkinField) -> None:
    near = field.near(surface.vertices)
    limbs = np.isin(surface.region, [TORSO, *(i for i, name in enumerate(REGIONS) if name.endswith("leg"))])
    neck = np.abs(surface.vertices[:, 1] - surface.vertices[surface.region == 1, 1].min()) < 0.08
    off = near.distance[limbs & ~neck]
    assert np.median(np.abs(off - CLOTH)) < 0.0005
    assert np.quantile(np.abs(off - CLOTH), 0.95) < 0.003


def test_hands_and_face_are_the_bodys_own(clothed: Truth, surface: CanonicalSurface, field: SkinField) -> None:
    body = clothed.body
    for side, sign in (("left", 1), ("right", -1)):
        beyond = sign * (body.canonical[:, 0] - head_of(body, f"{side}Hand")[0]) > 0.03
        fingers = np.isin(body.region, [REGIONS.index(f"{side}_hand")]) & beyond
        assert fingers.sum() > 100
        assert (
            np.abs(field.near(surface.vertices[sign * (surface.vertices[:, 0] - head_of(body, f"{side}Hand")[0]) > 0.03]).distance).max()
            < 5e-4
        )
    eyes = (head_of(body, "leftEye") + head_of(body, "rightEye")) / 2
    face = (np.linalg.norm(surface.vertices - eyes, axis=1) < 0.06) & (surface.vertices[:, 2] > eyes[2])
    on_skin = np.abs(field.near(surface.vertices[face]).distance)
    assert face.sum() > 500
    # The eyeballs stand before the skin of their sockets.
    assert np.quantile(on_skin, 0.8) < 5e-4


def test_weights_are_those_of_the_bodys_field(clothed: Truth, surface: CanonicalSurface, field: SkinField) -> None:
    assert surface.bones.shape == surface.weights.shape == (len(surface.vertices), 4)
    np.testing.assert_allclose(surface.weights.sum(1), 1, atol=1e-6)
    assert (surface.weights >= 0).all() and (np.diff(surface.weights, axis=1) <= 0).all()
    maps = bone_maps(clothed.body)
    exact = field.blend(surface.vertices, field.near(surface.vertices), maps)
    carried = np.einsum("vij,vj->vi", exact[..., :3], surface.vertices) + exact[..., 3]
    error = np.linalg.norm(skin(surface.vertices, maps, surface.bones, surface.weights) - carried, axis=1)
    assert error.mean() == pytest.approx(surface.skinning_error, rel=0.05)
    assert error.mean() < 0.0005
    # Bones that move alike give to each other, which costs next to nothing, however much it is.
    assert 0 <= surface.dropped_weight < 0.75


def test_the_expected_error_is_the_fields(surface: CanonicalSurface) -> None:
    np.testing.assert_allclose(surface.sigma, 0.01, rtol=1e-5)
    assert surface.region.dtype == np.uint8
    assert set(surface.region.tolist()) == set(range(len(REGIONS)))


def test_the_same_field_gives_the_same_surface(clothed: Truth, field: SkinField) -> None:
    first, second = (clothed_surface(clothed.body, field, dressed(), COARSE, threads=threads) for threads in (1, 3))
    np.testing.assert_array_equal(first.vertices, second.vertices)
    np.testing.assert_array_equal(first.weights, second.weights)


def test_loose_cloth_between_the_legs_stays(clothed: Truth, field: SkinField) -> None:
    """A cone from the hips to the knees, far from the body in the middle."""
    hips, knee = head_of(clothed.body, "hips"), head_of(clothed.body, "leftLowerLeg")

    def asked(points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        f, log_scale = dressed()(points, near)
        share = np.clip((hips[1] - points[:, 1]) / (hips[1] - knee[1]), 0, 1)
        side = np.hypot(points[:, 0], points[:, 2] - hips[2]) - (0.2 + 0.2 * share)
        skirt = np.maximum(0.9 * side, np.maximum(points[:, 1] - hips[1], knee[1] - points[:, 1]))
        return np.minimum(f, skirt), log_scale

    made = clothed_surface(clothed.body, field, asked, COARSE)
    middle = np.abs(made.vertices[:, 0]) < 0.03
    height = np.abs(made.vertices[:, 1] - (knee[1] + 0.05)) < 0.03
    front = made.vertices[middle & height, 2].max()
    assert front == pytest.approx(hips[2] + 0.38, abs=0.03)
    mean = (made.weights * np.isin(made.bones, [i for i, n in enumerate(made.skeleton.names) if n.endswith(".L")])).sum(1)
    on_axis = middle & height & (np.abs(made.vertices[:, 0]) < 0.01)
    assert np.abs(mean[on_axis] - 0.5).max() < 0.25


def test_what_is_said_of_parts_of_the_body_merges_where_they_meet(clothed: Truth, field: SkinField) -> None:
    """Trousers of 3 cm under a bare trunk: without mixing the surface would have a step of that height at the hips."""

    def asked(points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        legs = np.isin(near.region, [i for i, name in enumerate(REGIONS) if name.endswith("leg")])
        return near.distance - np.where(legs, 0.03, 0.0), np.full(len(points), np.log(np.where(legs, 0.02, 0.01)))

    made = clothed_surface(clothed.body, field, asked, COARSE)
    hips = np.abs(made.vertices[:, 1] - head_of(clothed.body, "hips")[1]) < 0.15
    edges = unique_edges(made.faces)
    edges = edges[hips[edges].all(1) & (np.abs(made.vertices[edges[:, 0], 0]) < 0.3)]
    off = field.near(made.vertices).distance
    slope = np.abs(off[edges[:, 0]] - off[edges[:, 1]]) / np.linalg.norm(made.vertices[edges[:, 0]] - made.vertices[edges[:, 1]], axis=1)
    assert off[hips].min() < 0.002 and off[hips].max() > 0.028
    assert np.quantile(slope, 0.99) < 0.8
    assert made.sigma.min() >= 0.0099 and made.sigma.max() <= 0.0201


def test_a_thick_coat_keeps_its_back(clothed: Truth, field: SkinField) -> None:
    """As loose as it is below the chest, however unsure the field is; a plate that begins above goes."""
    chest, hips = head_of(clothed.body, "chest"), head_of(clothed.body, "hips")

    def asked(points: np.ndarray, near: BodyPoints, lowest: float) -> tuple[np.ndarray, np.ndarray]:
        f, log_scale = dressed(0.01)(points, near)
        behind = (near.region == TORSO) & (near.normal[:, 2] < 0) & (points[:, 1] > lowest)
        return np.where(behind, near.distance - 0.055, f), np.where(behind, np.log(0.015), log_scale)

    for lowest, thick in ((hips[1], True), (chest[1] + 0.02, False)):
        made = clothed_surface(clothed.body, field, lambda p, near, low=lowest: asked(p, near, low), COARSE)  # type: ignore[misc]
        middle = (np.abs(made.vertices[:, 0]) < 0.05) & (np.abs(made.vertices[:, 1] - chest[1] - 0.1) < 0.02)
        off = field.near(made.vertices[middle & (made.vertices[:, 2] < chest[2])]).distance
        assert (np.median(off) > 0.04) == thick


def test_no_web_hangs_between_an_arm_and_the_trunk(clothed: Truth, field: SkinField) -> None:
    """A thin plate under the left arm, as a field has it that saw sleeve and coat side by side."""
    shoulder, hand, hips = (head_of(clothed.body, name) for name in ("leftUpperArm", "leftHand", "hips"))

    def asked(points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        f, log_scale = dressed(0.01)(points, near)
        across = np.abs(points[:, 2] - shoulder[2]) - 0.015
        low = shoulder[1] - 0.25 * np.clip((hand[0] - points[:, 0]) / (hand[0] - shoulder[0]), 0, 1)
        web = np.max([across, low - points[:, 1], points[:, 1] - shoulder[1], -points[:, 0], points[:, 0] - hand[0]], axis=0)
        return np.minimum(f, web), log_scale

    made = clothed_surface(clothed.body, field, asked, COARSE)
    middle = np.array([0.6 * shoulder[0] + 0.4 * hand[0], shoulder[1] - 0.12])
    assert middle[1] > hips[1]
    assert np.linalg.norm(made.vertices[:, :2] - middle, axis=1).min() > 0.03
    assert is_watertight(made.faces)


def test_neighbours_in_one_place_are_moved_apart() -> None:
    """An octahedron's apex twice, a micrometre apart."""
    points = np.array([[1.0, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0], [0, 0, -1], [0, 0, 1], [1e-6, 0, 1]])
    faces = np.array([[0, 1, 6], [1, 5, 6], [1, 2, 5], [2, 3, 5], [3, 0, 6], [3, 6, 5], [1, 0, 4], [2, 1, 4], [3, 2, 4], [0, 3, 4]])
    assert is_watertight(faces)
    moved = _apart(points, faces)
    edges = unique_edges(faces)
    assert np.linalg.norm(moved[edges[:, 0]] - moved[edges[:, 1]], axis=1).min() > 2e-5
    assert (moved[:5] == points[:5]).all() and np.abs(moved - points).max() < 0.1


def test_a_coat_hangs_around_both_legs_as_one_piece(clothed: Truth, field: SkinField) -> None:
    """Against the same cloth without a hem: closed between the legs in both poses, and stepping where it ends."""
    body, mask = clothed.body, np.ones_like(clothed.observation.mask)
    knees = [head_of(body, f"{side}LowerLeg") for side in ("left", "right")]
    heads = body.pose.bones(body.skeleton)[1]
    hips = np.mean([heads[body.skeleton.names.index(body.skeleton.humanoid[f"{side}UpperLeg"])] for side in ("left", "right")], axis=0)
    hem = Hem(float(-hips @ body.up) + 0.3, 0.0)
    asked = dressed(0.01)
    plain, coat = (clothed_surface(body, field, asked, COARSE, Worn(hems=hems, mask=mask)) for hems in ((), (hem,)))
    assert is_watertight(coat.faces) and components(coat.faces, len(coat.vertices)).max() == 0
    assert intersecting_faces(coat.vertices, coat.faces).mean() < 0.002
    middle = np.mean([head_of(body, f"{side}UpperLeg") for side in ("left", "right")], axis=0)
    middle[1] = 0.4 * middle[1] + 0.6 * np.mean(knees, 0)[1]
    inside = [MeshQueries(made.vertices, made.faces, winding=True).inside(middle[None])[0] for made in (plain, coat)]
    assert inside == [False, True]
    posed = skin(coat.vertices, bone_maps(body), coat.bones, coat.weights)
    level = -posed @ body.up - hem.level
    # A step at the hem: nearly level faces that look down.
    normal = np.cross(*(posed[coat.faces[:, k]] - posed[coat.faces[:, 0]] for k in (1, 2)))
    below = (normal @ body.up < -0.7 * np.linalg.norm(normal, axis=1)) & (np.abs(level[coat.faces].mean(1)) < 0.03)
    assert np.linalg.norm(normal[below], axis=1).sum() / 2 > 0.005


@pytest.mark.parametrize(
    "humps",
    [
        {"hips": (0.01, True), "upperChest": (0.002, True)},
        {"hips": (0.02, True), "upperChest": (0.02, False)},
        {"hips": (0.08, False)},
    ],
)
def test_what_hangs_loose_must_be_sure(clothed: Truth, field: SkinField, humps: dict[str, tuple[float, bool]]) -> None:
    """Humps that grow out of the back, with errors; between chest and chin, where one would be hair, it must be surer to stay."""
    centres = {}
    for bone in humps:
        near = np.abs(clothed.body.canonical - head_of(clothed.body, bone))
        back = clothed.body.canonical[(clothed.body.region == TORSO) & (near[:, 0] < 0.05) & (near[:, 1] < 0.05)]
        centres[bone] = back[back[:, 2].argmin()] + np.array([0, 0, -0.05])

    def asked(points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        f, log_scale = dressed(0.01)(points, near)
        for bone, (error, _) in humps.items():
            ball = np.linalg.norm(points - centres[bone], axis=1) - 0.09
            f, log_scale = np.minimum(f, ball), np.where(ball < f, np.log(error), log_scale)
        return f, log_scale

    made = clothed_surface(clothed.body, field, asked, COARSE)
    for bone, (_, stays) in humps.items():
        hump = centres[bone]
        reach = hump[2] - made.vertices[np.linalg.norm(made.vertices[:, :2] - hump[:2], axis=1) < 0.05, 2].min()
        assert (reach > 0.07) == stays, bone
    assert is_watertight(made.faces)


def test_a_beard_stays_what_floats_is_dropped_and_what_is_thin_gives_way_to_the_face(clothed: Truth, field: SkinField) -> None:
    face = clothed.body.canonical[face_vertices(clothed.body)]
    chin = face[np.argmin(face[:, 1] - face[:, 2])]
    beard, floating = chin + np.array([0, -0.02, 0.02]), np.array([0.4, 0.9, 0.1])
    made = clothed_surface(clothed.body, field, with_ball(with_ball(dressed(), beard, 0.06), floating, 0.08), COARSE)
    assert np.linalg.norm(made.vertices - floating, axis=1).min() > 0.1
    below = np.linalg.norm(made.vertices - beard, axis=1)
    assert np.abs(below - 0.06).min() < 0.001 and made.vertices[below < 0.07, 2].max() > chin[2] + 0.06
    mask = clothed_surface(clothed.body, field, lambda p, near: (near.distance - 0.012, np.full(len(p), -4.0)), COARSE)
    nose = face[face[:, 2].argmax()]
    assert mask.vertices[np.linalg.norm(mask.vertices - nose, axis=1) < 0.02, 2].max() == pytest.approx(nose[2], abs=5e-4)


def test_a_head_is_never_less_than_its_skull(clothed: Truth, field: SkinField) -> None:
    thin = clothed_surface(clothed.body, field, lambda p, near: (near.distance + 0.02, np.full(len(p), -4.0)), COARSE)
    chin = clothed.body.canonical[face_vertices(clothed.body), 1].min()
    off = field.near(thin.vertices).distance
    assert np.quantile(off[thin.vertices[:, 1] > chin], 0.02) > -0.003
    assert np.median(off[thin.region == TORSO]) == pytest.approx(-0.02, abs=0.001)
    assert is_watertight(thin.faces)


def test_a_foot_is_the_bodys_in_a_shoe_only_if_the_network_is_unsure(clothed: Truth, field: SkinField) -> None:
    for error, thickness in ((0.005, 0.05), (0.06, COARSE.shoe_thickness)):
        made = clothed_surface(clothed.body, field, dressed(0.05, error), COARSE)
        foot = (made.region == LEFT_FOOT) & (made.vertices[:, 1] < head_of(clothed.body, "leftFoot")[1] - 0.05)
        assert np.median(field.near(made.vertices[foot]).distance) == pytest.approx(thickness, abs=0.003)


def test_beyond_the_picture_the_body_wears_thin_cloth(clothed: Truth, field: SkinField) -> None:
    """The picture ends above the knees; below the network's word does not count."""
    camera = clothed.body.camera
    knees = clothed.body.posed[np.abs(clothed.body.canonical[:, 1] - head_of(clothed.body, "leftLowerLeg")[1]) < 0.02]
    end = int(camera.project(knees)[:, 1].min() - 40)
    cropped = replace(clothed.body, camera=Camera(camera.width, end, camera.focal, camera.cx, camera.cy))
    made = clothed_surface(cropped, field, dressed(0.05), COARSE)
    shins = np.isin(made.region, [REGIONS.index("left_lower_leg"), REGIONS.index("right_lower_leg")])
    torso = (made.region == TORSO) & (np.abs(made.vertices[:, 0]) < 0.15) & (made.vertices[:, 1] < head_of(cropped, "chest")[1])
    distance = field.near(made.vertices).distance
    assert np.median(distance[shins]) == pytest.approx(COARSE.cloth_thickness, abs=0.002)
    assert np.median(distance[torso]) == pytest.approx(0.05, abs=0.002)
    np.testing.assert_allclose(made.sigma[shins], 2 * COARSE.cloth_thickness, atol=1e-6)
    np.testing.assert_allclose(made.sigma[torso], 0.01, atol=1e-4)


def test_a_field_without_a_person_is_refused(clothed: Truth, field: SkinField) -> None:
    with pytest.raises(StageError, match=r"^canonical: .*no person"):
        clothed_surface(clothed.body, field, lambda p, near: (np.ones(len(p)), np.zeros(len(p))), COARSE)


def test_more_vertices_than_wanted_are_merged(clothed: Truth, field: SkinField) -> None:
    made = clothed_surface(clothed.body, field, dressed(), replace(COARSE, most_vertices=12000))
    assert len(made.vertices) <= 12000
    assert is_watertight(made.faces)
    legs = np.isin(made.region, [REGIONS.index("left_upper_leg"), REGIONS.index("right_upper_leg")])
    assert np.quantile(np.abs(field.near(made.vertices[legs]).distance - CLOTH), 0.9) < 0.004


def test_an_untrained_network_gives_the_body(clothed: Truth, field: SkinField) -> None:
    truth = clothed
    front, back = front_and_back(truth.body.posed, truth.body.faces, truth.body.camera)
    seen = (front != 0).any(-1)
    maps = NormalMaps(front.astype(np.float16), back.astype(np.float16), np.zeros(seen.shape, np.float16), seen)
    made = build_clothed(truth.observation, truth.body, maps, ImplicitNet(Architecture()).eval(), replace(COARSE, taut=0.0))
    off = np.abs(field.near(made.vertices).distance)
    assert np.median(off) < 0.001 and np.quantile(off, 0.95) < 0.004
