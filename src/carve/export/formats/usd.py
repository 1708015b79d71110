"""An asset as a USDZ archive: a skinned mesh with face shapes and textures that AR Quick Look, Blender, Unreal and Omniverse open."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from carve.export.glb import ROUGHNESS, generator
from carve.export.records import Asset, Bones
from carve.export.tools import NO_USD
from carve.records import CarveError

JPEG_QUALITY = 92


def usdz_bytes(asset: Asset) -> bytes:
    """The asset as a USDZ file. Raises CarveError if usd-core is missing."""
    try:
        from pxr import Sdf, UsdUtils
    except ImportError as error:
        raise CarveError(NO_USD) from error
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        Image.fromarray(asset.albedo).save(folder / "albedo.jpg", "JPEG", quality=JPEG_QUALITY, subsampling=0)
        if asset.normal_map is not None:
            Image.fromarray(asset.normal_map).save(folder / "normals.png", "PNG")
        _write_stage(folder / "avatar.usdc", asset)
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(folder / "avatar.usdc")), str(folder / "avatar.usdz")):
            raise CarveError("usd-core could not pack the USDZ archive.")
        return (folder / "avatar.usdz").read_bytes()


def _write_stage(path: Path, asset: Asset) -> None:
    from pxr import Usd, UsdGeom, UsdSkel

    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    layer = stage.GetRootLayer()
    layer.documentation = "\n".join(part for part in (generator(), asset.copyright) if part)
    layer.customLayerData = {"height": asset.height, "heightWithoutShoes": asset.body_height, "copyright": asset.copyright}
    root = UsdSkel.Root.Define(stage, "/avatar")
    stage.SetDefaultPrim(root.GetPrim())
    joints = joint_paths(asset.skeleton)
    _skeleton(stage, asset.skeleton, joints)
    mesh = _mesh(stage, asset)
    root.CreateExtentAttr(_extent(asset.vertices))
    _bind(stage, mesh, asset)
    _material(stage, mesh, asset)
    layer.Save()


def _extent(points: np.ndarray) -> Any:
    from pxr import Vt

    return Vt.Vec3fArray.FromNumpy(np.stack([points.min(0), points.max(0)]).astype(np.float32))


def joint_paths(bones: Bones) -> list[str]:
    """(B,) UsdSkel's names of the joints: the way from the root, such as `hips/spine/chest`."""
    from pxr import Tf

    paths: list[str] = []
    for name, parent in zip(bones.names, bones.parents, strict=True):
        own = Tf.MakeValidIdentifier(name)
        paths.append(own if parent < 0 else f"{paths[parent]}/{own}")
    return paths


def _skeleton(stage: Any, bones: Bones, joints: list[str]) -> None:
    """USD's matrices act on rows, so they are the transposes of ours."""
    from pxr import UsdSkel, Vt

    world = np.tile(np.eye(4), (len(joints), 1, 1))
    world[:, :3, :3], world[:, :3, 3] = bones.axes, bones.heads
    local = np.stack([w if p < 0 else np.linalg.inv(world[p]) @ w for w, p in zip(world, bones.parents, strict=True)])
    skeleton = UsdSkel.Skeleton.Define(stage, "/avatar/skeleton")
    skeleton.CreateJointsAttr(joints)
    skeleton.CreateJointNamesAttr(list(bones.names))
    skeleton.CreateBindTransformsAttr(Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(np.swapaxes(world, 1, 2))))
    skeleton.CreateRestTransformsAttr(Vt.Matrix4dArray.FromNumpy(np.ascontiguousarray(np.swapaxes(local, 1, 2))))


def _mesh(stage: Any, asset: Asset) -> Any:
    from pxr import Sdf, UsdGeom, Vt

    mesh = UsdGeom.Mesh.Define(stage, "/avatar/mesh")
    points = asset.vertices[asset.corner].astype(np.float32)
    mesh.CreatePointsAttr(Vt.Vec3fArray.FromNumpy(points))
    mesh.CreateFaceVertexCountsAttr(Vt.IntArray.FromNumpy(np.full(len(asset.split_faces), 3, np.int32)))
    mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(asset.split_faces.astype(np.int32).ravel()))
    mesh.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(asset.normals[asset.corner].astype(np.float32)))
    mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    mesh.CreateExtentAttr(_extent(points))
    place = UsdGeom.PrimvarsAPI(mesh).CreatePrimvar("st", Sdf.ValueTypeNames.TexCoord2fArray, UsdGeom.Tokens.vertex)
    place.Set(Vt.Vec2fArray.FromNumpy((asset.uv * [1, -1] + [0, 1]).astype(np.float32)))  # USD's origin is at the bottom left
    return mesh


def _bind(stage: Any, mesh: Any, asset: Asset) -> None:
    """Skinning weights and face shapes."""
    from pxr import Gf, Tf, UsdSkel, Vt

    binding = UsdSkel.BindingAPI.Apply(mesh.GetPrim())
    UsdSkel.BindingAPI.Apply(stage.GetPrimAtPath("/avatar"))
    binding.CreateSkeletonRel().SetTargets(["/avatar/skeleton"])
    indices, weights = asset.bones[asset.corner].astype(np.int32), asset.weights[asset.corner].astype(np.float32)
    binding.CreateJointIndicesPrimvar(False, 4).Set(Vt.IntArray.FromNumpy(indices.ravel()))
    binding.CreateJointWeightsPrimvar(False, 4).Set(Vt.FloatArray.FromNumpy(weights.ravel()))
    binding.CreateGeomBindTransformAttr(Gf.Matrix4d(1.0))
    names, targets = [], []
    row = np.full(len(asset.vertices), -1)
    for shape in asset.shapes:
        row[:] = -1
        row[shape.vertices] = np.arange(len(shape.vertices))
        moved = np.flatnonzero(row[asset.corner] >= 0)
        if len(moved) == 0:
            continue
        path = f"/avatar/mesh/{Tf.MakeValidIdentifier(shape.name)}"
        target = UsdSkel.BlendShape.Define(stage, path)
        target.CreateOffsetsAttr(Vt.Vec3fArray.FromNumpy(shape.offsets[row[asset.corner[moved]]].astype(np.float32)))
        target.CreatePointIndicesAttr(Vt.IntArray.FromNumpy(moved.astype(np.int32)))
        names.append(shape.name)
        targets.append(path)
    if names:
        binding.CreateBlendShapesAttr(names)
        binding.CreateBlendShapeTargetsRel().SetTargets(targets)


def _material(stage: Any, mesh: Any, asset: Asset) -> None:
    """A UsdPreviewSurface with the textures."""
    from pxr import Sdf, UsdShade

    material = UsdShade.Material.Define(stage, "/avatar/material")
    surface = UsdShade.Shader.Define(stage, "/avatar/material/surface")
    surface.CreateIdAttr("UsdPreviewSurface")
    surface.CreateInput("roughness", Sdf.ValueTypeNames.Float).Set(ROUGHNESS)
    surface.CreateInput("metallic", Sdf.ValueTypeNames.Float).Set(0.0)
    reader = UsdShade.Shader.Define(stage, "/avatar/material/st")
    reader.CreateIdAttr("UsdPrimvarReader_float2")
    reader.CreateInput("varname", Sdf.ValueTypeNames.String).Set("st")
    reader.CreateOutput("result", Sdf.ValueTypeNames.Float2)

    def texture(name: str, file: str, space: str) -> Any:
        shader = UsdShade.Shader.Define(stage, f"/avatar/material/{name}")
        shader.CreateIdAttr("UsdUVTexture")
        shader.CreateInput("file", Sdf.ValueTypeNames.Asset).Set(file)
        shader.CreateInput("sourceColorSpace", Sdf.ValueTypeNames.Token).Set(space)
        for side in ("wrapS", "wrapT"):
            shader.CreateInput(side, Sdf.ValueTypeNames.Token).Set("clamp")
        shader.CreateInput("st", Sdf.ValueTypeNames.Float2).ConnectToSource(reader.ConnectableAPI(), "result")
        return shader

    albedo = texture("albedo", "albedo.jpg", "sRGB")
    albedo.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
    surface.CreateInput("diffuseColor", Sdf.ValueTypeNames.Color3f).ConnectToSource(albedo.ConnectableAPI(), "rgb")
    if asset.normal_map is not None:
        normals = texture("normals", "normals.png", "raw")
        normals.CreateInput("scale", Sdf.ValueTypeNames.Float4).Set((2.0, 2.0, 2.0, 1.0))
        normals.CreateInput("bias", Sdf.ValueTypeNames.Float4).Set((-1.0, -1.0, -1.0, 0.0))
        normals.CreateOutput("rgb", Sdf.ValueTypeNames.Float3)
        surface.CreateInput("normal", Sdf.ValueTypeNames.Normal3f).ConnectToSource(normals.ConnectableAPI(), "rgb")
    material.CreateSurfaceOutput().ConnectToSource(surface.ConnectableAPI(), "surface")
    UsdShade.MaterialBindingAPI.Apply(mesh.GetPrim()).Bind(material)
