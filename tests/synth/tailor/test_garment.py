"""Garments on an average woman: their openings, their cloth, what is sewn on, and that a description says all."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from carve.geometry.mesh import boundary_edges, unique_edges
from carve.geometry.queries import MeshQueries
from carve.records import CarveError
from carve.synth.cloth.dressing import skin_joints
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.tailor.carried import CARRIED, carried_piece
from carve.synth.tailor.design import Design
from carve.synth.tailor.details import DETAILS, detailed
from carve.synth.tailor.families.every import FAMILIES
from carve.synth.tailor.families.family import FABRICS
from carve.synth.tailor.field import BodyGrid, body_grid
from carve.synth.tailor.figure import measured
from carve.synth.tailor.garment import Garment, tailored
from carve.synth.tailor.recipes import families_of, sample_design, sample_outfit
from carve.synth.tailor.solid_pieces import HATS, SHOES, Stiff, stiff_piece


@pytest.fixture(scope="module")
def grid(full_body: FullBody, woman: ShapedBody) -> BodyGrid:
    return body_grid(measured(full_body, woman))


def sewn(grid: BodyGrid, full_body: FullBody, family: str, seed: int = 0) -> Garment:
    return tailored(grid, skin_joints(full_body), sample_design(family, np.random.default_rng(seed)))


@pytest.fixture(scope="module")
def shirt(grid: BodyGrid, full_body: FullBody) -> Garment:
    return sewn(grid, full_body, "shirt")


def rims(faces: np.ndarray) -> int:
    """How many closed rims a surface has; every rim vertex must lie on two rim edges."""
    border = boundary_edges(faces)
    assert set(Counter(border.ravel().tolist()).values()) == {2}
    from scipy.sparse import coo_matrix, csgraph

    count = int(faces.max()) + 1
    graph = coo_matrix((np.ones(len(border)), border.T), shape=(count, count))
    label = csgraph.connected_components(graph, directed=False)[1]
    return len(np.unique(label[border]))


@pytest.mark.parametrize(("family", "openings"), [("tee", 4), ("jeans", 3), ("a_line_skirt", 2), ("strapless_dress", 2)])
def test_a_garment_is_open_where_it_should_be(grid: BodyGrid, full_body: FullBody, family: str, openings: int) -> None:
    garment = sewn(grid, full_body, family)
    assert rims(garment.faces) == openings
    edges = unique_edges(garment.faces)
    length = np.linalg.norm(garment.rest[edges[:, 0]] - garment.rest[edges[:, 1]], axis=1)
    assert 0.008 < np.median(length) < 0.016
    assert length.max() < 0.04
    assert 2000 < len(garment.rest) < 16000
    np.testing.assert_allclose(np.asarray(garment.joints.sum(1)).ravel(), 1)
    assert np.diff(garment.joints.indptr).max() <= 4
    assert 0 < garment.held.mean() < 0.2
    body = MeshQueries(grid.figure.vertices, grid.figure.faces, winding=True)
    assert body.inside(garment.rest).mean() < 0.05  # the simulation brings it out
    # It bridges hollows: the cloth's area is less than that of the skin below it would be with all its folds, its volume more.
    assert np.median(body.nearest(garment.rest).distance) > 0.003


def test_an_open_coat_has_one_rim_from_collar_to_hem(grid: BodyGrid, full_body: FullBody) -> None:
    assert rims(sewn(grid, full_body, "open_coat").faces) == 3  # two cuffs and the rest


def test_the_same_description_makes_the_same_garment(grid: BodyGrid, full_body: FullBody, shirt: Garment) -> None:
    design = Design.of(json.loads(json.dumps(shirt.design.plain())))
    assert design == shirt.design
    again = tailored(grid, skin_joints(full_body), design)
    np.testing.assert_array_equal(again.rest, shirt.rest)
    np.testing.assert_array_equal(again.faces, shirt.faces)


def test_cloth_is_longer_than_its_way_by_its_slack(shirt: Garment, grid: BodyGrid) -> None:
    arm = shirt.rest[:, 0] > grid.figure.arm("left")[1, 0]
    worn, cloth = (np.ptp(points[arm, 0]) for points in (shirt.rest, shirt.cloth))
    assert 1.0 + 0.5 * shirt.design.slack < cloth / worn < 1.0 + 3 * shirt.design.slack


def test_what_is_sewn_on_adds_relief_and_no_opening(shirt: Garment, grid: BodyGrid) -> None:
    relief = detailed(shirt.rest, shirt.faces, shirt.design, grid.figure)
    assert rims(relief.faces) == rims(shirt.faces)
    halves = np.concatenate([relief.faces[:, [0, 1]], relief.faces[:, [1, 2]], relief.faces[:, [2, 0]]])
    assert np.unique(np.sort(halves, 1), axis=0, return_counts=True)[1].max() == 2
    assert relief.height.max() > 0.004
    assert relief.height.min() < 0
    lifted = relief.lifted(shirt.rest, shirt.faces)
    assert np.linalg.norm(lifted - relief.rest, axis=1).max() < 0.02


def test_every_family_names_details_and_fabrics_that_exist_and_draws_designs() -> None:
    assert len(FAMILIES) + len(SHOES) + len(HATS) >= 45
    rng = np.random.default_rng(0)
    for name, family in FAMILIES.items():
        assert {*family.details, *family.perhaps} <= set(DETAILS), name
        assert set(family.fabrics) <= set(FABRICS), name
        first, second = sample_design(name, rng), sample_design(name, rng)
        assert first != second
        assert first.upper or first.lower != "none"


@pytest.mark.parametrize("name", DETAILS)
def test_every_detail_is_worn_by_some_family(name: str) -> None:
    assert any(name in (*family.details, *family.perhaps) for family in FAMILIES.values())


def test_outfits_cover_the_body_and_children_wear_no_heels_of_fashion() -> None:
    rng = np.random.default_rng(1)
    for k in range(60):
        female, adult = k % 2 == 0, k % 3 > 0
        outfit = sample_outfit(female, adult, rng)
        assert any(piece.upper for piece in outfit)
        assert any(piece.lower != "none" for piece in outfit)
        for piece in outfit:
            family = FAMILIES[piece.family]
            assert adult or not family.adult
            assert piece.family in families_of(family.slot, female, adult)
        assert [piece.layer for piece in outfit if piece.layer > 3] == sorted(piece.layer for piece in outfit if piece.layer > 3)


def test_a_garment_without_cloth_is_refused(grid: BodyGrid, full_body: FullBody) -> None:
    with pytest.raises(CarveError, match="no cloth"):
        tailored(grid, skin_joints(full_body), Design("nothing", "top", upper=True, hem=-3.0))


@pytest.mark.parametrize(("family", "kind"), [("sneakers", "shoes"), ("high_heels", "shoes"), ("cap", "hat")])
def test_shoes_and_hats_are_solids_around_their_wearer(grid: BodyGrid, full_body: FullBody, family: str, kind: str) -> None:
    table = SHOES if kind == "shoes" else HATS
    values = {name: sum(ends) / 2 for name, ends in table[family].items()}
    piece = stiff_piece(grid.figure, skin_joints(full_body), Stiff(family, kind, laces=family == "sneakers", **values))  # type: ignore[arg-type]
    assert not len(boundary_edges(piece.faces))
    solid = MeshQueries(piece.rest, piece.faces, winding=True)
    skin = grid.figure.vertices
    heights = grid.figure.heights
    covered = skin[:, 1] < heights["ground"] + 0.04 if kind == "shoes" else skin[:, 1] > heights["top"] - 0.04
    assert solid.inside(skin[covered]).mean() > 0.97
    assert solid.inside(skin[~covered]).mean() < 0.3


def test_a_sandal_leaves_the_foot_bare_between_its_sole_and_two_bands(grid: BodyGrid, full_body: FullBody) -> None:
    values = {name: sum(ends) / 2 for name, ends in SHOES["sandals"].items()}
    piece = stiff_piece(grid.figure, skin_joints(full_body), Stiff("sandals", "shoes", **values))  # type: ignore[arg-type]
    assert not len(boundary_edges(piece.faces))
    figure, ground = grid.figure, grid.figure.heights["ground"]
    foot = figure.vertices[figure.skin_of("left_foot")]
    solid = MeshQueries(piece.rest, piece.faces, winding=True)
    above = (foot[:, 1] > ground + 0.02 * figure.scale) & (foot[:, 1] < ground + 0.08 * figure.scale)
    assert solid.inside(foot[above]).mean() < 0.5
    assert piece.rest[:, 1].min() < ground - 0.008 * figure.scale
    bands = piece.rest[piece.rest[:, 1] > ground + 0.025 * figure.scale]
    along = (bands[:, 2] - foot[:, 2].min()) / np.ptp(foot[:, 2])
    assert ((along > 0.55) & (along < 0.85)).any()
    assert (along < 0.3).any()
    assert not ((along > 0.87) & (along < 0.97)).any()


@pytest.mark.parametrize("family", CARRIED)
def test_what_is_worn_over_clothes_is_solid_and_leaves_room_below(grid: BodyGrid, full_body: FullBody, family: str) -> None:
    piece = carried_piece(grid.figure, skin_joints(full_body), family, 0.04, np.random.default_rng(0))
    assert not len(boundary_edges(piece.faces))
    body = MeshQueries(grid.figure.vertices, grid.figure.faces, winding=True)
    assert body.inside(piece.rest).mean() < 0.01
    assert np.median(body.nearest(piece.rest).distance) > 0.02
