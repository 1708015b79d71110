from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from carve.body.model import REGIONS
from carve.body.zones import eyes_of, face_zone
from carve.export.extras.chains import JOINTS, Chains, hung, with_chains
from carve.export.extras.hair import around_neck, eased, hair, hair_chains
from carve.export.formats.vrm import HIT_RADIUS, vrm_document
from carve.export.options import ExportOptions, vrm_meta
from carve.export.records import Asset
from carve.geometry.mesh import unique_edges
from carve.records import Avatar, CanonicalSurface, TexturedSurface

AROUND, DOWN = 48, 40
BROWN, SKIN, BLUE = (70, 45, 30), (190, 140, 120), (60, 80, 190)


@dataclass(frozen=True)
class Wig:
    """A naked body under a tube of hair that hangs from above the nape down to the shoulders, open at the face's height."""

    surface: CanonicalSurface
    textured: TexturedSurface
    hair: np.ndarray
    """(DOWN, AROUND) vertices of the tube, from the top."""


@pytest.fixture(scope="module")
def wig(naked: Avatar) -> Wig:
    surface = naked.surface.canonical
    skeleton = surface.skeleton
    bone = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    (eyes, unit), head = eyes_of(skeleton), skeleton.heads[bone["head"]]
    level, turn = np.meshgrid(np.linspace(0, 1, DOWN), np.arange(AROUND) * 2 * np.pi / AROUND, indexing="ij")
    height = eyes[1] + 0.05 - level * 0.24 * unit
    tube = np.stack([head[0] + 0.13 * np.sin(turn), height, head[2] - 0.01 - 0.13 * np.cos(turn)], -1).reshape(-1, 3)
    count = len(surface.vertices)
    grid = count + np.arange(DOWN * AROUND).reshape(DOWN, AROUND)
    a, b = grid[:-1].ravel(), np.roll(grid, -1, 1)[:-1].ravel()
    c, d = grid[1:].ravel(), np.roll(grid, -1, 1)[1:].ravel()
    faces = np.concatenate([surface.faces, np.column_stack([a, b, c]), np.column_stack([b, d, c])])
    bones = np.zeros((len(tube), 4), np.int64)
    bones[:, 0] = np.where(np.arange(len(tube)) < len(tube) / 2, bone["head"], bone["upperChest"])
    whole = replace(
        surface,
        vertices=np.concatenate([surface.vertices, tube]),
        faces=faces,
        bones=np.concatenate([surface.bones, bones]),
        weights=np.concatenate([surface.weights, np.tile([1.0, 0, 0, 0], (len(tube), 1))]),
        region=np.concatenate([surface.region, np.full(len(tube), REGIONS.index("head"), np.uint8)]),
        sigma=np.zeros(count + len(tube)),
    )
    skin = np.isin(whole.region, [REGIONS.index(part) for part in ("head", "left_hand", "right_hand")])
    texel = np.where(skin, 1, 2)
    texel[~face_zone(whole) & (whole.region == REGIONS.index("head"))] = 0
    uv = np.column_stack([(texel + 0.5) / 3, np.full(len(texel), 0.5)])
    albedo = np.tile(np.array([BROWN, SKIN, BLUE], np.uint8), (3, 1, 1))
    textured = replace(naked.textured, corner=np.arange(len(texel)), faces=faces, uv=uv, albedo=albedo)
    return Wig(whole, textured, grid)


def test_a_naked_body_keeps_its_weights_and_has_no_hair(naked: Avatar) -> None:
    surface = naked.surface.canonical
    bones, weights = eased(surface, surface.bones, surface.weights, around_neck(surface, naked.body))
    assert bones is surface.bones and weights is surface.weights
    assert not hair(surface, naked.body, naked.textured).any()


def test_hair_follows_the_head_at_its_root_and_no_weight_jumps(naked: Avatar, wig: Wig) -> None:
    surface = wig.surface
    loose = around_neck(surface, naked.body)
    assert loose[wig.hair].mean() > 0.8
    skin = np.arange(len(surface.vertices)) < wig.hair[0, 0]
    assert not loose[skin].any()
    bones, weights = eased(surface, surface.bones, surface.weights, loose)
    np.testing.assert_allclose(weights.sum(1), 1)
    np.testing.assert_array_equal(weights[skin], surface.weights[skin])
    with_head = (weights * (bones == surface.skeleton.names.index(surface.skeleton.humanoid["head"]))).sum(1)
    down = with_head[wig.hair].mean(1)
    assert down[0] > 0.8 and down[-1] < 0.2 and (np.diff(down) < 1e-6).all()
    edges = unique_edges(surface.faces)
    edges = edges[(loose[edges] > 0.5).all(1)]
    assert np.abs(np.diff(with_head[edges], axis=1)).max() < 0.25  # over 15 mm; before, it jumped from one to zero


def test_hair_is_told_by_the_scalps_colour(naked: Avatar, wig: Wig) -> None:
    free = hair(wig.surface, naked.body, wig.textured)
    skin = np.arange(len(free)) < wig.hair[0, 0]
    assert not free[skin].any()
    assert free[wig.hair[-8:]].mean() > 0.5 and not free[wig.hair[:10]].any()  # what covers the scalp does not swing


def test_where_clothes_have_the_hairs_colour_nothing_swings(naked: Avatar, wig: Wig) -> None:
    brown = replace(wig.textured, albedo=np.tile(np.array([BROWN, SKIN, BROWN], np.uint8), (3, 1, 1)))
    assert not hair(wig.surface, naked.body, brown).any()


def test_chains_hang_from_the_head_and_take_the_ends(naked: Avatar, wig: Wig) -> None:
    free = hair(wig.surface, naked.body, wig.textured)
    skeleton = wig.surface.skeleton
    root, count = skeleton.names.index(skeleton.humanoid["head"]), len(skeleton.names)
    head = skeleton.heads[root]
    chains = hair_chains(wig.surface.vertices, free, root, head)
    assert chains.heads.shape == (5, JOINTS, 3)
    assert (np.diff(chains.heads[..., 1], axis=1) < 0).all()
    assert chains.heads[2, 0, 2] < head[2] - 0.08 and abs(chains.heads[2, 0, 0] - head[0]) < 0.01  # the middle one at the back
    bones, weights = hung([chains], wig.surface.bones, wig.surface.weights, count)
    np.testing.assert_allclose(weights.sum(1), 1)
    assert ((weights > 0).sum(1) <= 4).all()
    taken = (weights * (bones >= count)).sum(1)[wig.hair]
    assert taken[-1].mean() > 0.5 and taken[: DOWN // 3].max() < 0.05


def test_a_vrm_keeps_hair_off_the_shoulders_and_never_moves_it_at_rest(exported_asset: Asset) -> None:
    skeleton = exported_asset.skeleton
    root = skeleton.index("head")
    head = skeleton.heads[root]
    heads = head + np.stack([np.array([[x, -0.05 * j, -0.1] for j in range(JOINTS)]) for x in (-0.08, 0.08)])
    nothing = np.zeros(len(exported_asset.vertices))
    asset = with_chains(exported_asset, [Chains("hair", root, heads, nothing, nothing, nothing)], heads.reshape(-1, 3))
    meta = vrm_meta(None, ["A"], "https://vrm.dev/licenses/1.0/", {}, [])
    document = vrm_document(asset, ExportOptions(vrm=meta), meta, np.zeros((8, 8, 3), np.uint8))
    springs = document.extensions["VRMC_springBone"]
    assert [spring["name"] for spring in springs["springs"]] == ["hair_1_1", "hair_2_1"]
    assert document.nodes[springs["springs"][0]["joints"][0]["node"]].name == "hair_1_1"
    names = {document.nodes[collider["node"]].name for collider in springs["colliders"]}
    assert {"neck", "leftShoulder", "rightShoulder"} <= names
    for collider in springs["colliders"]:
        capsule, bone = collider["shape"]["capsule"], asset.skeleton.names.index(document.nodes[collider["node"]].name)
        first = asset.skeleton.heads[bone]
        along = asset.skeleton.axes[bone] @ capsule["tail"]
        offset = heads.reshape(-1, 3) - first
        share = np.clip(offset @ along / (along @ along), 0, 1)
        clear = np.linalg.norm(offset - share[:, None] * along, axis=1).min()
        assert capsule["radius"] + HIT_RADIUS <= clear + 1e-9 or capsule["radius"] == pytest.approx(0.01)
