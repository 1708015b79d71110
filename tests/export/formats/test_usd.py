from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carve.export.formats.usd import usdz_bytes
from carve.export.records import Asset
from optional import needs


@pytest.fixture(scope="module")
def file(with_shapes: Asset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    needs("pxr")
    path = tmp_path_factory.mktemp("usd") / "avatar.usdz"
    path.write_bytes(usdz_bytes(with_shapes))
    return path


def test_the_checker_finds_nothing(file: Path) -> None:
    """What the program usdchecker runs."""
    from pxr import Usd, UsdValidation

    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    assert len(validators) > 20
    found = UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(file)))
    assert [error.GetErrorAsString() for error in found] == []


def test_skinning_by_usd_gives_the_rest_surface_and_bends_the_arm(file: Path, with_shapes: Asset) -> None:
    from pxr import Gf, Usd, UsdGeom, UsdSkel, Vt

    stage = Usd.Stage.Open(str(file))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    root = UsdSkel.Root(stage.GetPrimAtPath("/avatar"))
    cache = UsdSkel.Cache()
    cache.Populate(root, Usd.TraverseInstanceProxies())
    binding = next(iter(cache.ComputeSkelBindings(root, Usd.TraverseInstanceProxies())))
    query = cache.GetSkelQuery(binding.GetSkeleton())
    target = binding.GetSkinningTargets()[0]
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/avatar/mesh")).GetPointsAttr().Get()
    rest = query.ComputeJointLocalTransforms(0, atRest=True)

    def skinned(local: Vt.Matrix4dArray) -> np.ndarray:
        world = UsdSkel.ConcatJointTransforms(query.GetTopology(), local)
        bind = query.GetJointWorldBindTransforms()
        moved = Vt.Matrix4dArray([b.GetInverse() * w for b, w in zip(bind, world, strict=True)])
        made = Vt.Vec3fArray(points)
        assert target.ComputeSkinnedPoints(moved, made, 0)
        return np.array(made)

    np.testing.assert_allclose(skinned(rest), with_shapes.vertices[with_shapes.corner], atol=1e-5)
    bent = Vt.Matrix4dArray(rest)
    elbow = list(query.GetJointOrder()).index(next(j for j in query.GetJointOrder() if j.endswith("leftLowerArm")))
    bent[elbow] = Gf.Matrix4d().SetRotate(Gf.Rotation(Gf.Vec3d(0, 0, 1), 90)) * rest[elbow]
    way = skinned(bent) - with_shapes.vertices[with_shapes.corner]
    hand = with_shapes.region[with_shapes.corner] == 4
    assert way[hand, 2].mean() > 0.15  # Z looks to the palm, so a turn about it swings the forearm forward
    assert np.abs(way[~hand & (with_shapes.vertices[with_shapes.corner, 0] < 0.2)]).max() < 0.02


def test_face_shapes_are_there(file: Path, with_shapes: Asset) -> None:
    from pxr import Usd, UsdSkel

    stage = Usd.Stage.Open(str(file))
    jaw = UsdSkel.BlendShape(stage.GetPrimAtPath("/avatar/mesh/jawOpen"))
    offsets, rows = np.array(jaw.GetOffsetsAttr().Get()), np.array(jaw.GetPointIndicesAttr().Get())
    own = next(shape for shape in with_shapes.shapes if shape.name == "jawOpen")
    dense = np.zeros((len(with_shapes.vertices), 3))
    dense[own.vertices] = own.offsets
    np.testing.assert_allclose(offsets, dense[with_shapes.corner[rows]], atol=1e-6)
