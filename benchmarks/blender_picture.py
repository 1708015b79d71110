"""Run by a Python that has bpy: imports a GLB with default settings, bends it by its bones and face shapes, renders it with Cycles.

PYTHON_WITH_BPY benchmarks/blender_picture.py -- FILE.glb PICTURE.png WIDTH HEIGHT
"""

import math
import sys

import bpy
from mathutils import Quaternion, Vector

source, target, width, height = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=source)
armature = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
mesh = next(thing for thing in bpy.data.objects if thing.type == "MESH" and thing.data.shape_keys)
for name, share in (("mouthSmileLeft", 0.7), ("mouthSmileRight", 0.7), ("jawOpen", 0.2)):
    mesh.data.shape_keys.key_blocks[name].value = share


def turn(name: str, axis: str, degrees: float) -> None:
    """Turn a bone about an axis of the world."""
    bone = armature.pose.bones[name]
    world = (armature.matrix_world @ bone.matrix).to_3x3()
    axes = {"x": Vector((1, 0, 0)), "y": Vector((0, 1, 0)), "z": Vector((0, 0, 1))}
    bone.rotation_mode = "QUATERNION"
    bone.rotation_quaternion = bone.rotation_quaternion @ Quaternion(world.inverted() @ axes[axis], math.radians(degrees))
    bpy.context.view_layer.update()


turn("leftUpperArm", "y", 62)
turn("rightUpperArm", "y", -20)
turn("rightLowerArm", "y", 95)
turn("head", "z", 12)
scene = bpy.context.scene
floor = bpy.ops.mesh.primitive_plane_add(size=30)
scene.world = bpy.data.worlds.new("world")
scene.world.use_nodes = True
scene.world.node_tree.nodes["Background"].inputs[0].default_value = (0.75, 0.8, 0.85, 1)
scene.world.node_tree.nodes["Background"].inputs[1].default_value = 0.7
sun = bpy.data.objects.new("sun", bpy.data.lights.new("sun", "SUN"))
sun.data.energy, sun.data.angle = 2.5, 0.1
sun.rotation_euler = (math.radians(50), 0, math.radians(35))
camera = bpy.data.objects.new("camera", bpy.data.cameras.new("camera"))
camera.location = (1.1, -4.6, 1.35)
camera.rotation_euler = (Vector((0, 0, 0.92)) - camera.location).to_track_quat("-Z", "Y").to_euler()
camera.data.lens = 52
camera.data.sensor_fit = "VERTICAL"
for thing in (sun, camera):
    scene.collection.objects.link(thing)
scene.camera = camera
scene.render.engine = "CYCLES"
scene.cycles.samples, scene.cycles.use_denoising = 24, True
scene.view_settings.view_transform = "Standard"
scene.render.resolution_x, scene.render.resolution_y = int(width), int(height)
scene.render.filepath = target
bpy.ops.render.render(write_still=True)
