from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.model import REGIONS
from carve.export.asset import make_asset, merged
from carve.export.extras.chains import JOINTS, Chains, chain_parents, hung, with_chains
from carve.export.extras.cloth import CHAINS, blended, skirt, skirt_chains
from carve.export.formats.vrm import vrm_document
from carve.export.options import ExportOptions, vrm_meta
from carve.export.records import Asset
from carve.records import Avatar, CanonicalSurface

AROUND, DOWN = 64, 32


@pytest.fixture(scope="module")
def tube(naked: Avatar) -> CanonicalSurface:
    """A skirt from the hips to below the knees: a tube around both legs, each side hard on its own leg's bone."""
    surface = naked.surface.canonical
    skeleton = surface.skeleton
    bone = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    hips, knee = skeleton.heads[bone["hips"]], skeleton.heads[bone["leftLowerLeg"]]
    level, turn = np.meshgrid(np.linspace(0, 1, DOWN), np.arange(AROUND) * 2 * np.pi / AROUND, indexing="ij")
    radius = 0.22 + 0.4 * level
    height = hips[1] + 0.02 - level * (hips[1] - knee[1] + 0.1)
    vertices = np.stack([radius * np.sin(turn), height, hips[2] + 0.6 * radius * np.cos(turn)], -1).reshape(-1, 3)
    grid = np.arange(DOWN * AROUND).reshape(DOWN, AROUND)
    a, b = grid[:-1].ravel(), np.roll(grid, -1, 1)[:-1].ravel()
    c, d = grid[1:].ravel(), np.roll(grid, -1, 1)[1:].ravel()
    left = vertices[:, 0] > 0
    bones = np.zeros((len(vertices), 4), np.int64)
    bones[:, 0] = np.where(left, bone["leftUpperLeg"], bone["rightUpperLeg"])
    region = np.where(left, REGIONS.index("left_upper_leg"), REGIONS.index("right_upper_leg")).astype(np.uint8)
    return replace(
        surface,
        vertices=vertices,
        faces=np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])]),
        bones=bones,
        weights=np.tile([1.0, 0, 0, 0], (len(vertices), 1)),
        region=region,
        sigma=np.zeros(len(vertices)),
    )


def test_a_naked_body_wears_no_skirt(naked: Avatar) -> None:
    surface = naked.surface.canonical
    assert not skirt(surface, naked.body).any()
    bones, weights = blended(surface, skirt(surface, naked.body))
    assert bones is surface.bones and weights is surface.weights
    assert make_asset(naked, ExportOptions(cloth_bones=True)).asset.chains == ()


def test_between_the_legs_a_skirt_belongs_to_both(naked: Avatar, tube: CanonicalSurface) -> None:
    loose = skirt(tube, naked.body)
    assert loose.max() > 0.8
    bones, weights = blended(tube, loose)
    names = tube.skeleton.names
    left = (weights * (bones == names.index("upperleg01.L"))).sum(1).reshape(DOWN, AROUND)
    np.testing.assert_allclose(weights.sum(1), 1)
    row = left[DOWN - 10]
    assert 0.3 < row[0] < 0.7 and row[AROUND // 4] > 0.9 and row[3 * AROUND // 4] < 0.1
    assert np.abs(np.diff(row)).max() < 0.2  # before, it jumped from one to zero


def test_chains_hang_from_the_hips_and_take_the_hem(naked: Avatar, tube: CanonicalSurface, exported_asset: Asset) -> None:
    loose = skirt(tube, naked.body)
    count, hips = len(exported_asset.skeleton.names), tube.skeleton.heads[0]
    chains = skirt_chains(tube.vertices, loose, 0, hips)
    with_them = hung([chains], tube.bones, tube.weights, count)
    np.testing.assert_allclose(with_them[1].sum(1), 1)
    assert with_them[0].max() < count + CHAINS * JOINTS == count + chains.size
    bones, weights = merged(*with_them)
    hanging = (weights * (bones >= count)).sum(1).reshape(DOWN, AROUND)
    assert hanging[0].max() < 0.1 and hanging[DOWN - 8].min() > 0.5
    assert (np.diff(chains.heads[..., 1], axis=1) < -0.1).all()
    parents = chain_parents([chains, chains], count)
    assert parents[0] == 0 and parents[1] == count and parents[JOINTS] == 0
    assert parents[chains.size] == 0 and parents[chains.size + 1] == count + chains.size


def test_a_vrm_lets_chains_swing(exported_asset: Asset) -> None:
    angle = 2 * np.pi * np.arange(CHAINS) / CHAINS
    hips = exported_asset.skeleton.heads[0]
    heads = hips + np.stack(
        [np.stack([0.2 * np.sin(angle), np.full(CHAINS, -0.2 * j), 0.2 * np.cos(angle)], -1) for j in range(JOINTS)], axis=1
    )
    nothing = np.zeros(len(exported_asset.vertices))
    asset = with_chains(exported_asset, [Chains("skirt", 0, heads, nothing, nothing, nothing)], heads.reshape(-1, 3))
    meta = vrm_meta(None, ["A"], "https://vrm.dev/licenses/1.0/", {}, [])
    document = vrm_document(asset, ExportOptions(vrm=meta), meta, np.zeros((8, 8, 3), np.uint8))
    springs = document.extensions["VRMC_springBone"]
    assert len(springs["springs"]) == CHAINS and len(springs["colliders"]) == 4
    names = [document.nodes[joint["node"]].name for joint in springs["springs"][0]["joints"]]
    assert names == ["skirt_1_1", "skirt_1_2", "skirt_1_3"]
