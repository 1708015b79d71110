// What programs do with an avatar, told as plain numbers. Files are /files/0 (the avatar) and /files/1 (a clip on Mixamo's skeleton).
import { VRMLoaderPlugin, VRMUtils } from "@pixiv/three-vrm";
import * as THREE from "three";
import { BVHLoader } from "three/addons/loaders/BVHLoader.js";
import { DRACOLoader } from "three/addons/loaders/DRACOLoader.js";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { MeshoptDecoder } from "three/addons/libs/meshopt_decoder.module.js";

const MIXAMO = { Hips: "hips", Spine: "spine", Spine1: "chest", Spine2: "upperChest", Neck: "neck", Head: "head" };
for (const side of ["Left", "Right"]) {
  const own = side.toLowerCase();
  const parts = { Shoulder: "Shoulder", Arm: "UpperArm", ForeArm: "LowerArm", Hand: "Hand", UpLeg: "UpperLeg", Leg: "LowerLeg", Foot: "Foot", ToeBase: "Toes" };
  for (const [theirs, vrm] of Object.entries(parts)) MIXAMO[side + theirs] = own + vrm;
}

function loader() {
  const draco = new DRACOLoader().setDecoderPath("/node_modules/three/examples/jsm/libs/draco/gltf/");
  return new GLTFLoader().setMeshoptDecoder(MeshoptDecoder).setDRACOLoader(draco);
}

function skinnedMeshes(scene) {
  const found = [];
  scene.traverse((node) => { if (node.isSkinnedMesh) found.push(node); });
  return found;
}

// The lowest point of the skin, metres.
function lowest(scene) {
  scene.updateMatrixWorld(true);
  let low = Infinity;
  const point = new THREE.Vector3();
  for (const mesh of skinnedMeshes(scene)) {
    const count = mesh.geometry.attributes.position.count;
    const position = mesh.geometry.attributes.position;
    for (let v = 0; v < count; v += 1) {
      if (position.getY(v) > 0.12 && v % 16) continue;
      low = Math.min(low, mesh.getVertexPosition(v, point).applyMatrix4(mesh.matrixWorld).y);
    }
  }
  return low;
}

// A clip on Mixamo's skeleton, GLB or BVH: { scene, animations, hips: metres or whatever of the hips above the floor at rest }.
async function mixamo(url) {
  const bytes = new Uint8Array(await (await fetch(url)).arrayBuffer());
  if (new TextDecoder().decode(bytes.subarray(0, 9)) !== "HIERARCHY") {
    const source = await loader().loadAsync(url);
    source.scene.updateMatrixWorld(true);
    return { ...source, hips: source.scene.getObjectByName("Hips").getWorldPosition(new THREE.Vector3()).y };
  }
  const { skeleton, clip } = new BVHLoader().parse(new TextDecoder().decode(bytes));
  const scene = new THREE.Group().add(skeleton.bones[0]);
  scene.updateMatrixWorld(true);
  const at = (bone) => bone.getWorldPosition(new THREE.Vector3()).y;
  const hips = at(skeleton.bones[0]) - Math.min(...skeleton.bones.map(at)); // end sites lie under the toes
  return { scene, animations: [clip], hips };
}

// A Mixamo clip for a VRM: rotations against the clip's own rest pose, in the world's axes, and the way of the hips by their height.
function retarget(clip, source, vrm) {
  const rest = new THREE.Quaternion(), parent = new THREE.Quaternion();
  source.scene.updateMatrixWorld(true);
  const ratio = vrm.humanoid.normalizedRestPose.hips.position[1] / source.hips;
  const tracks = [];
  for (const track of clip.tracks) {
    const [name, property] = track.name.split(".");
    const bone = vrm.humanoid.getNormalizedBoneNode(MIXAMO[name.replace(/^mixamorig:?/, "")]);
    const node = source.scene.getObjectByName(name);
    if (!bone || !node) continue;
    node.getWorldQuaternion(rest).invert();
    node.parent.getWorldQuaternion(parent);
    if (property === "quaternion") {
      const values = Float32Array.from(track.values);
      const q = new THREE.Quaternion();
      for (let k = 0; k < values.length; k += 4) q.fromArray(values, k).premultiply(parent).multiply(rest).toArray(values, k);
      tracks.push(new THREE.QuaternionKeyframeTrack(`${bone.name}.quaternion`, track.times, values));
    } else if (property === "position" && MIXAMO[name.replace(/^mixamorig:?/, "")] === "hips") {
      tracks.push(new THREE.VectorKeyframeTrack(`${bone.name}.position`, track.times, track.values.map((value) => value * ratio)));
    }
  }
  return new THREE.AnimationClip("clip", clip.duration, tracks);
}

export async function vrm() {
  const gltf = await loader().register((parser) => new VRMLoaderPlugin(parser)).loadAsync("/files/0");
  const avatar = gltf.userData.vrm;
  const at = (name) => avatar.humanoid.getRawBoneNode(name).getWorldPosition(new THREE.Vector3()).toArray();
  gltf.scene.updateMatrixWorld(true);
  const rest = { lowest: lowest(gltf.scene), leftHand: at("leftHand"), rightHand: at("rightHand"), head: at("head") };
  const source = await mixamo("/files/1");
  const mixer = new THREE.AnimationMixer(gltf.scene);
  const clip = retarget(source.animations[0], source, avatar);
  mixer.clipAction(clip).play();
  const low = [];
  const feet = [];
  const hanging = [...(avatar.springBoneManager?.joints ?? [])].map((joint) => joint.bone);
  const root = (bone) => avatar.humanoid.getRawBoneNode(bone.name.startsWith("hair") ? "head" : "hips");
  const against = (bone) => root(bone).worldToLocal(bone.children[0].getWorldPosition(new THREE.Vector3()));
  const hung = hanging.map(against);
  const swing = { skirt: 0, hair: 0 };
  for (let k = 0; k < 32; k += 1) {
    mixer.setTime((k / 32) * clip.duration);
    avatar.update(1 / 30);
    low.push(lowest(gltf.scene));
    feet.push([at("leftFoot"), at("rightFoot")]);
    hanging.forEach((bone, j) => {
      const kind = bone.name.split("_")[0];
      swing[kind] = Math.max(swing[kind], against(bone).distanceTo(hung[j]));
    });
  }
  avatar.expressionManager.setValue("aa", 1);
  avatar.expressionManager.setValue("blink", 1);
  avatar.update(1 / 30);
  const mesh = skinnedMeshes(gltf.scene)[0];
  const influence = (name) => mesh.morphTargetInfluences?.[mesh.morphTargetDictionary[name]];
  avatar.lookAt.applier.applyYawPitch(30, 0);
  avatar.humanoid.update();
  const twist = [];
  avatar.nodeConstraintManager?.constraints.forEach((constraint) => twist.push(constraint.destination.name));
  return {
    meta: { name: avatar.meta.name, authors: avatar.meta.authors, licence: avatar.meta.licenseUrl, version: avatar.meta.metaVersion },
    bones: Object.keys(avatar.humanoid.humanBones).length,
    expressions: Object.keys(avatar.expressionManager.expressionMap),
    thumbnail: Boolean(avatar.meta.thumbnailImage),
    springs: hanging.map((bone) => bone.name),
    swing,
    tracks: clip.tracks.length,
    jawOpen: influence("jawOpen"),
    eyeBlinkLeft: influence("eyeBlinkLeft"),
    rest, low, feet, twist,
  };
}

export async function talkinghead() {
  const { TalkingHead } = await import("talkinghead");
  const size = new URL(location.href).searchParams.get("size"); // given where a picture is wanted
  const frame = document.getElementById("avatar");
  if (size) [frame.style.width, frame.style.height] = size.split("x").map((side) => `${side}px`);
  const head = new TalkingHead(frame, { ttsEndpoint: "none", lipsyncModules: [], cameraView: "upper" });
  await head.showAvatar({ url: "/files/0", body: "F", avatarMood: "neutral", lipsyncLang: "en" });
  await new Promise((done) => setTimeout(done, 400));
  const shoulders = ["LeftHand", "RightHand", "Head", "Hips"].map((name) => head.armature.getObjectByName(name).getWorldPosition(new THREE.Vector3()).toArray());
  const pictures = [];
  for (const mood of size ? ["neutral", "happy", "sad"] : []) {
    head.setMood(mood);
    await new Promise((done) => setTimeout(done, 4000));
    head.renderer.render(head.scene, head.camera);
    pictures.push(head.renderer.domElement.toDataURL("image/png"));
  }
  return { pictures, morphs: Object.keys(head.mtAvatar).length, visemes: Object.keys(head.mtAvatar).filter((name) => name.startsWith("viseme_")).length, places: shoulders };
}

// The lowest point of the skin in each of 32 moments of the file's own clip.
export async function plays() {
  const gltf = await loader().loadAsync("/files/0");
  const mixer = new THREE.AnimationMixer(gltf.scene);
  mixer.clipAction(gltf.animations[0]).play();
  const low = [];
  for (let k = 0; k < 32; k += 1) {
    mixer.setTime((k / 32) * gltf.animations[0].duration);
    low.push(lowest(gltf.scene));
  }
  return { low };
}

// A clip of one rig played by name on another of the same names.
export async function clip() {
  const gltf = await loader().loadAsync("/files/0");
  const source = await loader().loadAsync("/files/1");
  const mixer = new THREE.AnimationMixer(gltf.scene);
  const tracks = source.animations[0].tracks.filter((track) => track.name.endsWith(".quaternion"));
  mixer.clipAction(new THREE.AnimationClip("clip", source.animations[0].duration, tracks)).play();
  const hands = [];
  for (let k = 0; k < 8; k += 1) {
    mixer.setTime((k / 8) * source.animations[0].duration);
    gltf.scene.updateMatrixWorld(true);
    hands.push(gltf.scene.getObjectByName("LeftHand").getWorldPosition(new THREE.Vector3()).toArray());
  }
  return { tracks: tracks.length, morphs: skinnedMeshes(gltf.scene)[0].morphTargetInfluences?.length ?? 0, lowest: lowest(gltf.scene), hands };
}

export async function load() {
  const gltf = await loader().loadAsync("/files/0");
  const meshes = skinnedMeshes(gltf.scene);
  return { triangles: meshes.reduce((sum, mesh) => sum + mesh.geometry.index.count / 3, 0), lowest: lowest(gltf.scene), normalMap: Boolean(meshes[0].material.normalMap), morphs: meshes[0].morphTargetInfluences?.length ?? 0 };
}

// Pictures by three.js for looking at, of a file and (of a VRM) a clip on Mixamo's skeleton. `views` is JSON, a list of
// { at, from: [x, y, z], head: whether these are from the head on, fov, shapes: { name: weight }, eyes: degrees, time: share of the clip }.
export async function pictures() {
  const query = new URL(location.href).searchParams;
  const [width, height] = (query.get("size") ?? "480x640").split("x").map(Number);
  const gltf = await loader().register((parser) => new VRMLoaderPlugin(parser)).loadAsync("/files/0");
  const avatar = gltf.userData.vrm;
  let clip = gltf.animations[0];
  if (avatar && query.has("clip")) {
    const source = await mixamo("/files/1");
    clip = retarget(source.animations[0], source, avatar);
  }
  const mixer = clip ? new THREE.AnimationMixer(gltf.scene) : null;
  mixer?.clipAction(clip).play();
  const renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
  renderer.setSize(width, height);
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0xdfe3e8);
  const sun = new THREE.DirectionalLight(0xffffff, 1.4);
  sun.position.set(1.5, 3, 2.5);
  scene.add(new THREE.HemisphereLight(0xffffff, 0x9a9aa2, 2.0), sun, new THREE.GridHelper(6, 24, 0x99a0a8, 0xc4c9cf), gltf.scene);
  const head = gltf.scene.getObjectByName("head") ?? gltf.scene.getObjectByName("Head");
  const eyes = ["leftEye", "rightEye", "LeftEye", "RightEye"].map((name) => gltf.scene.getObjectByName(name)).filter(Boolean);
  const taken = [];
  for (const view of JSON.parse(query.get("views"))) {
    const time = (view.time ?? 0) * (clip?.duration ?? 0);
    while (mixer && mixer.time < time - 1e-6) {
      mixer.update(Math.min(1 / 60, time - mixer.time));
      avatar?.update(1 / 60);
    }
    for (const mesh of skinnedMeshes(gltf.scene)) {
      for (const [name, place] of Object.entries(mesh.morphTargetDictionary ?? {})) mesh.morphTargetInfluences[place] = view.shapes?.[name] ?? 0;
    }
    if (view.eyes !== undefined) eyes.forEach((eye) => eye.rotation.set(0, (view.eyes * Math.PI) / 180, 0));
    gltf.scene.updateMatrixWorld(true);
    const origin = view.head ? head.getWorldPosition(new THREE.Vector3()) : new THREE.Vector3();
    const camera = new THREE.PerspectiveCamera(view.fov ?? 30, width / height, 0.05, 50);
    camera.position.fromArray(view.from).add(origin);
    camera.lookAt(new THREE.Vector3().fromArray(view.at).add(origin));
    renderer.render(scene, camera);
    taken.push(renderer.domElement.toDataURL("image/png"));
  }
  return { pictures: taken };
}
