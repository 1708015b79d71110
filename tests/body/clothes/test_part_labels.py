"""Labels of front and back on the vertices, and what a texture makes of them, on the figure of capsules."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from capsule_figure import Scene, capsule_surface, photograph
from carve.body.clothes.part_labels import ALLOWED, _a_pair, covered, label_shares, shown_in_front, vertex_labels, without_patches
from carve.body.model import REGIONS
from carve.body.zones import HEAD, TORSO
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.records import LABELS, NormalMaps
from carve.stages.texture import bake_texture

SKIN, TOP, BOTTOM, HAIR, SHOES = (LABELS.index(name) for name in ("skin", "top", "bottom", "hair", "shoes"))
LEGS = [k for k, name in enumerate(REGIONS) if name.endswith(("leg", "foot"))]
COLOURS = {SKIN: (200, 150, 40), TOP: (180, 40, 40), BOTTOM: (40, 160, 30), HAIR: (60, 50, 20)}


def true_label(points: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Trousers to y = 1.0, a top above that leaves the back bare to 1.15, hair on the back of the head."""
    label = np.where(np.isin(region, LEGS) | ((region == TORSO) & (points[:, 1] < 1.0)), BOTTOM, TOP)
    label = np.where((label == TOP) & (region == TORSO) & (points[:, 2] < 0) & (points[:, 1] < 1.15), SKIN, label)
    label = np.where(region == HEAD, np.where(points[:, 2] < -0.02, HAIR, SKIN), label)
    return np.where([REGIONS[k].endswith("hand") for k in region], SKIN, label).astype(np.uint8)


def maps_of(scene: Scene) -> NormalMaps:
    """The true labels of front and back as pictures."""
    surface, camera = scene.posed.canonical, scene.posed.camera
    of_vertex = true_label(surface.vertices, surface.region)
    found = {}
    for name, farthest in (("label", False), ("label_back", True)):
        raster = rasterise(scene.posed.vertices, surface.faces, camera, farthest)
        found[name] = np.where(raster.mask, of_vertex[surface.faces[np.maximum(raster.face, 0), raster.bary.argmax(-1)]], 0).astype(
            np.uint8
        )
    empty = np.zeros((camera.height, camera.width, 3), np.float16)
    return NormalMaps(empty, empty, empty[..., 0], found["label"] > 0, **found)


@pytest.fixture(scope="module")
def scene() -> Scene:
    def colour(points: np.ndarray) -> np.ndarray:
        region = np.zeros(len(points), np.int64)
        region[points[:, 1] > 1.42] = HEAD
        region[points[:, 1] < 0.8] = LEGS[0]
        label = true_label(points, region)
        return np.array([COLOURS[int(k)] for k in label], float)

    return photograph(capsule_surface(), colour)


def test_what_a_region_cannot_wear_is_not_allowed() -> None:
    assert not ALLOWED[TORSO, SHOES] and ALLOWED[REGIONS.index("left_foot"), SHOES]
    assert not ALLOWED[HEAD, BOTTOM] and ALLOWED[HEAD, HAIR] and not ALLOWED[:, 0].any()


def test_vertices_have_the_labels_of_the_side_that_shows_them(scene: Scene) -> None:
    surface = scene.posed.canonical
    label = vertex_labels(scene.posed, maps_of(scene))
    assert label is not None
    truth = true_label(surface.vertices, surface.region)
    assert (label == truth).mean() > 0.93
    # Away from borders there is no other answer.
    inner = (surface.region == TORSO) & (np.abs(surface.vertices[:, 2]) > 0.08) & (surface.vertices[:, 1] > 1.2)
    assert (label[inner] == TOP).mean() > 0.99


def test_specks_go_and_maps_without_labels_say_nothing(scene: Scene) -> None:
    maps = maps_of(scene)
    speckled = maps.label.copy()  # type: ignore[union-attr]
    speckled[::40, ::40] = np.where(speckled[::40, ::40] > 0, LABELS.index("bag"), 0)
    label = vertex_labels(scene.posed, replace(maps, label=speckled))
    assert label is not None and (label == LABELS.index("bag")).mean() < 0.002
    assert vertex_labels(scene.posed, replace(maps, label=None)) is None


def test_a_back_ends_where_its_labels_end(scene: Scene) -> None:
    """A bare back: unseen, and known from the back's labels alone."""
    maps = maps_of(scene)
    with_labels = replace(scene, baked=bake_texture(scene.observation, scene.posed, scene.params, None, maps))
    errors = []
    for one in (scene, with_labels):
        points, _, _, colour, seen = one.texels()
        strip = (seen == 0) & (points[:, 1] > 1.03) & (points[:, 1] < 1.12) & (np.abs(points[:, 0]) < 0.1) & (points[:, 2] < -0.1)
        assert strip.sum() > 50
        errors.append(np.abs(colour[strip] - COLOURS[SKIN]).max(1))
    assert np.median(errors[1]) < 25 < np.median(errors[0])


def test_a_ragged_hem_on_the_back_goes_round_straight(scene: Scene) -> None:
    """Teeth of seven centimetres in what is said of the back; the front's hem, and with it what the photo shows, stays."""
    maps, surface, camera = maps_of(scene), scene.posed.canonical, scene.posed.camera
    trunk = surface.region == TORSO
    rows = camera.project(scene.posed.vertices[trunk & (np.abs(surface.vertices[:, 1] - 1.15) < 0.011)])[:, 1]
    centimetre = camera.focal / -scene.posed.vertices[:, 2].mean() / 100
    teeth = np.where((np.arange(camera.width) // (5 * centimetre)) % 2 == 0, 7 * centimetre, 0)
    low = np.arange(camera.height)[:, None] > rows.mean() - teeth
    back = np.isin(maps.label_back, (TOP, SKIN)) & (maps.label == TOP)
    ragged = np.where(back, np.where(low, SKIN, TOP), maps.label_back).astype(np.uint8)  # type: ignore[arg-type]
    shares = label_shares(scene.posed, replace(maps, label_back=ragged), rounds=1)
    assert shares is not None
    label, heights = shares.argmax(1), surface.vertices[:, 1]
    behind = trunk & (surface.vertices[:, 2] < -0.1) & (np.abs(surface.vertices[:, 0]) < 0.09) & (heights > 1.05) & (heights < 1.3)
    highest_skin, lowest_top = heights[behind & (label == SKIN)].max(), heights[behind & (label == TOP)].min()
    assert 1.1 < lowest_top < 1.25 and highest_skin - lowest_top < 0.03
    before = trunk & (surface.vertices[:, 2] > 0.1)
    assert (label[before] == true_label(surface.vertices, surface.region)[before]).mean() > 0.97


def test_a_foot_that_is_hidden_wears_what_the_other_one_wears(scene: Scene) -> None:
    surface = scene.posed.canonical
    normals = vertex_normals(surface.vertices, surface.faces)
    left, right = (surface.region == REGIONS.index(f"{side}_foot") for side in ("left", "right"))
    shares = np.zeros((len(surface.vertices), len(LABELS)))
    shares[:, BOTTOM] = 1
    toes = left & (surface.vertices[:, 2] > np.median(surface.vertices[left, 2]))
    shares[toes] = np.eye(len(LABELS))[SHOES]
    seen = left.astype(float)
    found = _a_pair(shares, seen, surface, normals)
    shod = found.argmax(1) == SHOES
    assert (shod[left] == toes[left]).all()
    mirrored = right & (surface.vertices[:, 2] > np.median(surface.vertices[right, 2]))
    assert (shod[right] == mirrored[right]).mean() > 0.95
    assert (found[~right] == shares[~right]).all()
    # What is seen of it, and feet of which nothing is, stay as they are.
    assert (_a_pair(shares, seen + right, surface, normals) == shares).all()
    assert (_a_pair(shares, 0 * seen, surface, normals) == shares).all()


def test_the_skin_of_an_arm_before_the_trunk_is_not_the_backs(scene: Scene) -> None:
    """The same skin in the back's labels, behind an arm and where none is."""
    maps, surface, camera = maps_of(scene), scene.posed.canonical, scene.posed.camera
    arm = np.isin(surface.region, [REGIONS.index(f"left_{part}") for part in ("upper_arm", "lower_arm", "hand")])
    posed = scene.posed.vertices.copy()
    back = camera.project(posed[(surface.region == TORSO) & (surface.vertices[:, 1] > 1.2)]).mean(0)
    at = np.clip(camera.project(posed[arm]).mean(0) - back, -1e3, 1e3)
    metre = camera.focal / -float(np.median(posed[:, 2]))
    posed[arm] += [-at[0] / metre, at[1] / metre, 0.3]
    moved = replace(scene, posed=replace(scene.posed, vertices=posed)).posed
    front = rasterise(posed, surface.faces, camera)
    before = front.mask & np.isin(surface.faces[np.maximum(front.face, 0), 0], np.flatnonzero(arm))
    false = np.where(before & (maps.label_back == TOP), SKIN, maps.label_back).astype(np.uint8)  # type: ignore[union-attr]
    pixels = np.floor(camera.project(posed)).astype(int)
    behind = (
        (surface.region == TORSO) & before[pixels[:, 1], pixels[:, 0]] & (surface.vertices[:, 2] < -0.05) & (surface.vertices[:, 1] > 1.2)
    )
    assert behind.sum() > 10
    label = vertex_labels(moved, replace(maps, label_back=false))
    bare = vertex_labels(scene.posed, replace(maps, label_back=false))
    assert label is not None and bare is not None
    assert (label[behind] == SKIN).mean() < 0.1 < 0.5 < (bare[behind] == SKIN).mean()


def test_small_patches_of_cloth_within_cloth_go_and_cuffs_stay() -> None:
    labels = np.zeros((200, 100), np.uint8)
    labels[10:100, 20:80], labels[100:190, 20:80] = TOP, BOTTOM
    labels[40:44, 40:48] = BOTTOM  # a patch within the top
    labels[150:154, 50:54] = SKIN  # a tear in the trousers
    labels[60:64, 70:80] = SKIN  # at the outline: a hand's edge
    labels[188:192, 30:40] = TOP  # a strap beside nothing but trousers and background
    found = without_patches(labels)
    assert (found[40:44, 40:48] == TOP).all() and (found[150:154, 50:54] == BOTTOM).all()
    assert (found[60:64, 70:80] == SKIN).all() and (found[188:192, 30:40] == TOP).all()
    big = labels.copy()
    big[110:140, 30:60] = TOP
    assert (without_patches(big)[110:140, 30:60] == TOP).all()
    assert not without_patches(np.zeros_like(labels)).any()


def test_shares_are_what_labels_are_the_largest_of(scene: Scene) -> None:
    maps = maps_of(scene)
    shares, label = label_shares(scene.posed, maps), vertex_labels(scene.posed, maps)
    assert shares is not None and label is not None and (shares >= 0).all() and (shares.sum(1) < 1 + 1e-9).all()
    np.testing.assert_array_equal(shares.argmax(1), label)


def test_what_lies_in_front_counts_where_it_is_of_one_kind_and_away_from_borders(scene: Scene) -> None:
    maps, surface = maps_of(scene), scene.posed.canonical
    label = true_label(surface.vertices, surface.region)
    share = shown_in_front(scene.posed, maps, label)
    behind = (surface.region == TORSO) & (surface.vertices[:, 2] < -0.1)
    bare = behind & (label == SKIN)  # a bare back behind a top
    covered = behind & (label == TOP) & (surface.vertices[:, 1] > 1.25) & (np.abs(surface.vertices[:, 0]) < 0.08)
    assert bare.sum() > 10 and covered.sum() > 10
    assert share[bare].max() == 0 and np.median(share[covered]) == 1


def test_a_hem_goes_round_at_one_height_behind_an_arm(scene: Scene) -> None:
    """A strip beside the arm that hangs down, labelled as the sleeve: the hip keeps its trousers."""
    maps, surface, camera = maps_of(scene), scene.posed.canonical, scene.posed.camera
    arm = np.isin(surface.region, [REGIONS.index(f"left_{part}") for part in ("upper_arm", "lower_arm", "hand")])
    posed = scene.posed.vertices.copy()
    hip = (surface.region == LEGS[0]) | ((surface.region == TORSO) & (surface.vertices[:, 1] < 0.98))
    side = posed[hip & (surface.vertices[:, 0] > 0.1)].mean(0)
    posed[arm] += side + np.array([0.05, 0.0, 0.12]) - posed[arm].mean(0)
    moved = replace(scene.posed, vertices=posed)
    front = rasterise(posed, surface.faces, camera)
    before = front.mask & np.isin(surface.faces[np.maximum(front.face, 0), 0], np.flatnonzero(arm))
    near = cv2.dilate(before.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    wrong = {
        name: np.where(near & (image > 0), TOP, image).astype(np.uint8)  # type: ignore[operator]
        for name, image in (("label", maps.label), ("label_back", maps.label_back))
    }
    label = vertex_labels(moved, replace(maps, **wrong))
    pixels = np.clip(np.floor(camera.project(posed)).astype(int), 0, [camera.width - 1, camera.height - 1])
    behind = np.isin(surface.region, LEGS) & near[pixels[:, 1], pixels[:, 0]] & (surface.vertices[:, 1] < 0.85)
    assert label is not None and behind.sum() > 10
    assert (label[behind] == BOTTOM).mean() > 0.95


def test_scraps_of_a_shirt_behind_a_jacket_are_the_jackets_and_sleeves_below_a_vest_are_not() -> None:
    outer = LABELS.index("outer")
    back = np.zeros((60, 40), np.uint8)
    back[10:40, 5:35], back[40:58, 8:32], back[2:9, 15:25] = outer, BOTTOM, HAIR
    shown = back.copy()
    shown[38:42, 10:20] = TOP
    shown[9:12, 15:25] = TOP
    found = covered(shown)
    assert not (found == TOP).any() and (found[9:12, 15:25] == outer).all()
    assert set(np.unique(found[38:42, 10:20])) == {outer, BOTTOM}
    np.testing.assert_array_equal(found[shown != TOP], shown[shown != TOP])
    vest = back.copy()
    vest[10:40, 5:9] = vest[10:40, 31:35] = TOP
    assert covered(vest) is vest
    alone = np.where(back == outer, TOP, back).astype(np.uint8)
    assert covered(alone) is alone
