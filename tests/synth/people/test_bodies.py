"""The whole body against the compact one, and the population that is drawn from it."""

from __future__ import annotations

import numpy as np
import torch

from carve.body.anny import AnnyBody
from carve.body.model import canonical_body
from carve.geometry.mesh import signed_volume
from carve.synth.people.bodies import FullBody, ShapedBody, Traits, sample_traits, shape_body

PHENOTYPES = ("gender", "age", "muscle", "weight", "height", "proportions")


def test_the_whole_body_is_the_compact_one_where_both_reach(full_body: FullBody, anny_body: AnnyBody) -> None:
    shape = anny_body.prior.mean.clone()
    values = dict(zip(anny_body.shape_names, shape.tolist(), strict=True))
    phenotypes = {name: values[name] for name in PHENOTYPES} | {"cupsize": 0.5, "firmness": 0.5}
    mine = shape_body(full_body, Traits(30.0, phenotypes, (1 / 3, 1 / 3, 1 / 3), {}, {}))
    theirs = canonical_body(anny_body, shape)
    np.testing.assert_allclose(mine.canonical, theirs.vertices, atol=2e-5)
    np.testing.assert_allclose(mine.heads, theirs.skeleton.heads, atol=2e-5)
    np.testing.assert_array_equal(full_body.faces, anny_body.faces)


def test_the_canonical_body_stands_over_the_origin(woman: ShapedBody) -> None:
    assert abs(woman.canonical[:, 1].min()) < 1e-9
    np.testing.assert_allclose(woman.heads[0, [0, 2]], 0.0, atol=1e-9)
    assert 1.55 < woman.stature < 1.85


def test_adults_are_of_human_size_and_children_smaller(full_body: FullBody) -> None:
    rng = np.random.default_rng(0)
    people = [shape_body(full_body, sample_traits(full_body, rng)) for _ in range(25)]
    adults = np.array([p.stature for p in people if p.traits.adult])
    children = np.array([p.stature for p in people if p.traits.years < 10])
    assert 1.55 < np.median(adults) < 1.85
    assert adults.min() > 1.3
    assert adults.max() < 2.15
    assert children.max() < np.median(adults)
    litres = np.array([1000 * signed_volume(p.canonical, full_body.faces) / p.stature**2 for p in people if p.traits.adult])
    assert 18 < np.median(litres) < 27


def test_women_are_smaller_than_men_on_average(full_body: FullBody) -> None:
    rng = np.random.default_rng(1)
    people = [t for t in (sample_traits(full_body, rng) for _ in range(60)) if t.adult]
    stature = {sex: np.mean([shape_body(full_body, t).stature for t in people if t.female == sex][:15]) for sex in (True, False)}
    assert stature[True] + 0.05 < stature[False]


def test_a_person_is_a_function_of_the_generator(full_body: FullBody) -> None:
    first, second, other = (sample_traits(full_body, np.random.default_rng(k)) for k in (3, 3, 4))
    assert first == second
    assert first != other


def test_sampling_leaves_torchs_generator_alone(full_body: FullBody) -> None:
    before = torch.get_rng_state()
    sample_traits(full_body, np.random.default_rng(0))
    assert torch.equal(before, torch.get_rng_state())


def test_both_halves_of_a_person_are_nearly_alike(full_body: FullBody) -> None:
    traits = sample_traits(full_body, np.random.default_rng(5))
    pairs = [(v, traits.local[n.replace("r-", "l-", 1)]) for n, v in traits.local.items() if n.startswith("r-")]
    assert len(pairs) > 20
    assert np.abs([a - b for a, b in pairs]).max() < 0.15


def test_expressions_move_the_face_only(full_body: FullBody, man: ShapedBody) -> None:
    base = man.traits
    smiling = shape_body(full_body, Traits(base.years, base.phenotypes, base.race, {}, {"jawOpen": 1.0}))
    moved = np.linalg.norm(smiling.rest - man.rest, axis=1)[full_body.base]
    assert moved.max() > 0.01
    assert moved[man.canonical[:, 1] < man.stature * 0.75].max() < 2e-4
