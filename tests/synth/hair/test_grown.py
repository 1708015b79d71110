"""Hair that is grown: one closed solid over the scalp, clear of the eyes and of the body, the same whenever it is asked for."""

from __future__ import annotations

import numpy as np
import pytest

from carve.geometry.mesh import is_watertight, signed_volume
from carve.geometry.queries import MeshQueries
from carve.synth.hair.grown import grown_hair
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.hair_styles import STYLES, draw_cut, fits_a_hat, hair_name, parse_hair_name, style_names
from carve.synth.wear.garments import fit


@pytest.mark.parametrize(("name", "longest"), [("crew", 0.06), ("bob", 0.35), ("low bun", 0.2)])
def test_a_grown_style_is_a_solid_on_the_head(full_body: FullBody, woman: ShapedBody, name: str, longest: float) -> None:
    pattern = grown_hair(full_body, woman, name, 1)
    where = fit(pattern, woman)
    assert pattern.closed and is_watertight(pattern.faces)
    assert signed_volume(where, pattern.faces) > 1e-4
    np.testing.assert_allclose(np.asarray(pattern.joints.sum(1)).ravel(), 1, atol=1e-9)
    # The crown lies below hair, the eyes do not, and hair ends where its cut allows.
    skin = woman.rest[full_body.base]
    head = skin[full_body.region == 1]
    crown = head[head[:, 1].argmax()]
    queries = MeshQueries(where, pattern.faces)
    assert queries.blocked(crown[None] + [0, 0.0005, 0], np.array([[0.0, 1.0, 0.0]]), 0.1)[0]
    eyes = woman.rest_heads[[full_body.names.index("eye.L"), full_body.names.index("eye.R")]]
    assert not queries.blocked(eyes, np.tile([0.0, 0.0, 1.0], (2, 1)), 0.3).any()
    assert where[:, 1].min() > eyes[:, 1].mean() - longest
    # The skull is below it, neck and shoulders are not in it.
    assert MeshQueries(skin, full_body.faces, winding=True).inside(where).mean() < 0.5


def test_cuts_differ_and_come_back() -> None:
    assert len(STYLES) >= 20
    for name, style in STYLES.items():
        first, again, other = (draw_cut(name, np.random.default_rng(seed)) for seed in (1, 1, 2))
        assert first == again and first != other
        assert style.top[0] <= first.top <= style.top[1] and style.sides[0] <= first.sides <= style.sides[1]
        assert parse_hair_name(hair_name(name, 3)) == (name, 3)
    assert parse_hair_name("bob01") is None
    assert set(style_names(True)) | set(style_names(False)) == set(STYLES)
    assert fits_a_hat(hair_name("crew", 0)) and not fits_a_hat(hair_name("large afro", 0)) and not fits_a_hat("afro01")
