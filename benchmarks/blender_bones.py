"""Run inside Blender on GLB files: how far bones lie off their limbs, and by how much the IK of an arm misses its target.

    PYTHON_WITH_BPY benchmarks/blender_bones.py -- FILE.glb...

Imports with Blender's default settings; prints a JSON object, file name -> figures.
"""

import json
import math
import sys
from itertools import pairwise
from pathlib import Path

import bpy
from mathutils import Vector

ARMS = (("leftUpperArm", "leftLowerArm", "leftHand"), ("LeftArm", "LeftForeArm", "LeftHand"), ("upperarm_l", "lowerarm_l", "hand_l"))
LIMBS = (
    *(pair for arm in ARMS for pair in pairwise(arm)),
    *(("leftUpperLeg", "leftLowerLeg"), ("leftLowerLeg", "leftFoot"), ("LeftUpLeg", "LeftLeg"), ("LeftLeg", "LeftFoot")),
    *(("thigh_l", "calf_l"), ("calf_l", "foot_l"), ("leftFoot", "leftToes"), ("LeftFoot", "LeftToeBase"), ("foot_l", "ball_l")),
)
report = {}
for file in sys.argv[sys.argv.index("--") + 1 :]:
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.import_scene.gltf(filepath=file)
    armature = next(thing for thing in bpy.data.objects if thing.type == "ARMATURE")
    bones = armature.data.bones
    angles = [
        math.degrees((bones[b].head_local - bones[a].head_local).angle(bones[a].tail_local - bones[a].head_local))
        for a, b in LIMBS
        if a in bones and b in bones
    ]
    upper, lower, hand = next(arm for arm in ARMS if arm[0] in bones)
    shoulder, wrist = (armature.matrix_world @ bones[name].head_local for name in (upper, hand))
    reach = (wrist - shoulder).length
    target = bpy.data.objects.new("target", None)
    target.location = shoulder + Vector((0.35 * reach, -0.5 * reach, -0.35 * reach))
    bpy.context.collection.objects.link(target)
    count, bone = 1, armature.pose.bones[lower]
    while bone.name != upper:
        bone, count = bone.parent, count + 1
    solver = armature.pose.bones[lower].constraints.new("IK")
    solver.target, solver.chain_count = target, count
    bpy.context.view_layer.update()
    miss = (armature.matrix_world @ armature.pose.bones[hand].head - target.location).length
    report[Path(file).name] = {"largest_angle_deg": round(max(angles), 3), "wrist_miss_cm": round(100 * miss, 3)}
print(json.dumps(report))
