// The avatar in 3D: five looks, poses and motions, face shapes, and a slow turn.
import * as THREE from "./vendor/three.min.js";
import { Bones } from "./bones.js";
import { choice, h, icon } from "./dom.js";
import { texts } from "./texts.js";

const t = texts.viewer;
const LOOKS = ["textured", "clay", "wire", "skeleton", "seen"];
const SEEN = [[226, 142, 78], [38, 132, 118]]; // filled in, from the photo
const SEEN_SIZE = 1024;
const CLAY = 0xb9b4aa;
const BONE = 0x12897b;
const KEY_TURN = 0.12;
const still = matchMedia("(prefers-reduced-motion: reduce)");

export class Viewer {
  // Loads the avatar into `stage`; null where the browser has no WebGL.
  static async open(stage, avatar, seen, motions, pose) {
    let renderer;
    try {
      renderer = new THREE.WebGLRenderer({ antialias: true, alpha: true, powerPreference: "low-power" });
    } catch {
      return null;
    }
    const gltf = await new THREE.GLTFLoader().loadAsync(avatar.url);
    return new Viewer(stage, renderer, gltf, seen, motions, pose);
  }

  constructor(stage, renderer, gltf, seen, motions, pose) {
    this.stage = stage;
    this.renderer = renderer;
    this.seenFile = seen;
    this.pose = pose;
    this.root = gltf.scene;
    this.meshes = [];
    this.nodes = new Map();
    this.root.traverse((node) => {
      if (node.isSkinnedMesh || node.isMesh) this.meshes.push(node);
      this.nodes.set(node.userData.name ?? node.name, node);
    });
    this.rest = new Map([...this.nodes.values()].map((node) => [node, [node.position.clone(), node.quaternion.clone()]]));
    this.triangles = this.meshes.reduce((sum, mesh) => sum + (mesh.geometry.index ?? mesh.geometry.attributes.position).count / 3, 0);
    this.#build();
    this.#materials();
    this.#clips(motions);
    this.#controls();
    this.setLook("textured");
    this.play(this.motions.includes("idle") ? "idle" : "rest");
    if (still.matches) this.pause(true);
    this.#run();
  }

  #build() {
    const { renderer, stage } = this;
    renderer.outputColorSpace = THREE.SRGBColorSpace;
    renderer.shadowMap.enabled = true;
    renderer.shadowMap.type = THREE.PCFSoftShadowMap;
    stage.append(renderer.domElement);
    Object.assign(renderer.domElement, { tabIndex: 0 });
    renderer.domElement.setAttribute("role", "img");
    renderer.domElement.setAttribute("aria-label", t.label);
    this.scene = new THREE.Scene();
    const box = new THREE.Box3().setFromObject(this.root);
    this.height = Math.max(box.max.y - box.min.y, 0.5);
    this.scene.add(this.root);
    for (const mesh of this.meshes) { mesh.frustumCulled = false; mesh.castShadow = true; }
    const key = new THREE.DirectionalLight(0xffffff, 1.6);
    key.position.set(-0.7, 2.6, 1.5).multiplyScalar(this.height);
    key.castShadow = true;
    key.shadow.mapSize.set(512, 512);
    const reach = 0.9 * this.height;
    Object.assign(key.shadow.camera, { left: -reach, right: reach, top: reach, bottom: -reach, near: 0.1, far: 8 * this.height });
    key.shadow.radius = 6;
    const rim = new THREE.DirectionalLight(0xffffff, 0.6);
    rim.position.set(2, 1.6, -2.4);
    this.scene.add(key, rim, new THREE.HemisphereLight(0xffffff, 0xc9c2b6, 2.3));
    const ground = new THREE.Mesh(new THREE.CircleGeometry(this.height * 3, 48), new THREE.ShadowMaterial({ opacity: 0.16 }));
    ground.rotation.x = -Math.PI / 2;
    ground.receiveShadow = true;
    this.scene.add(ground);
    this.camera = new THREE.PerspectiveCamera(28, 1, 0.05, 60);
    this.orbit = new THREE.OrbitControls(this.camera, renderer.domElement);
    Object.assign(this.orbit, { enableDamping: true, minDistance: 0.4, maxDistance: 5 * this.height, maxPolarAngle: Math.PI * 0.93, autoRotateSpeed: 1.6 });
    this.#view();
    this.resizing = new ResizeObserver(() => this.#size());
    this.resizing.observe(stage);
    this.#size();
    this.looking = new AbortController();
    renderer.domElement.addEventListener("keydown", (event) => this.#key(event), { signal: this.looking.signal });
    addEventListener("themechange", () => this.#light(), { signal: this.looking.signal });
    this.#light();
  }

  #light() {
    const dark = getComputedStyle(document.documentElement).colorScheme.includes("dark") || document.documentElement.dataset.theme === "dark";
    this.scene.traverse((node) => { if (node.material?.isShadowMaterial) node.material.opacity = dark ? 0.4 : 0.16; });
    this.touch();
  }

  #view() {
    this.orbit.target.set(0, this.height * 0.46, 0);
    this.camera.position.set(this.height * 0.45, this.height * 0.6, this.height * 2.95);
    this.orbit.update();
  }

  #size() {
    const { clientWidth: width, clientHeight: height } = this.stage;
    if (!width || !height) return;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height, false);
    this.camera.aspect = width / height;
    this.camera.fov = width < height * 0.75 ? 38 : 28;
    this.camera.updateProjectionMatrix();
    this.#draw(); // at once: a canvas of another size is empty
  }

  #draw() {
    if (this.bones?.mesh.visible) this.bones.update();
    this.renderer.render(this.scene, this.camera);
  }

  #key(event) {
    const turn = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const zoom = { "+": 0.9, "=": 0.9, "-": 1.1 }[event.key];
    if (!turn && !zoom) return;
    event.preventDefault();
    const offset = this.camera.position.clone().sub(this.orbit.target);
    if (zoom) offset.multiplyScalar(zoom);
    else {
      offset.applyAxisAngle(new THREE.Vector3(0, 1, 0), turn[0] * KEY_TURN);
      const side = new THREE.Vector3(0, 1, 0).cross(offset).normalize();
      offset.applyAxisAngle(side, turn[1] * KEY_TURN);
    }
    this.camera.position.copy(this.orbit.target).add(offset);
    this.orbit.update();
  }

  #materials() {
    this.skin = new Map(this.meshes.map((mesh) => [mesh, mesh.material]));
    this.clay = new THREE.MeshStandardMaterial({ color: CLAY, roughness: 0.85, metalness: 0 });
    this.wire = new THREE.MeshBasicMaterial({ color: 0x0f8f80, wireframe: true });
    this.glass = new THREE.MeshStandardMaterial({ color: CLAY, roughness: 0.9, transparent: true, opacity: 0.35, depthWrite: false });
    this.bones = new Bones(this.root, BONE);
    this.scene.add(this.bones.mesh);
  }

  // The map of what the photo gave, as colours.
  async #seenMaterial() {
    if (this.seenLook || !this.seenFile) return this.seenLook ?? this.clay;
    const image = await new Promise((resolve, reject) => { const i = new Image(); i.onload = () => resolve(i); i.onerror = reject; i.src = this.seenFile.url; });
    const canvas = h("canvas", { width: SEEN_SIZE, height: SEEN_SIZE });
    const paper = canvas.getContext("2d", { willReadFrequently: true });
    paper.drawImage(image, 0, 0, SEEN_SIZE, SEEN_SIZE);
    const pixels = paper.getImageData(0, 0, SEEN_SIZE, SEEN_SIZE);
    for (let k = 0; k < pixels.data.length; k += 4) {
      const share = pixels.data[k] / 255;
      for (let c = 0; c < 3; c += 1) pixels.data[k + c] = SEEN[0][c] * (1 - share) + SEEN[1][c] * share;
      pixels.data[k + 3] = 255;
    }
    paper.putImageData(pixels, 0, 0);
    const map = new THREE.CanvasTexture(canvas);
    map.flipY = false;
    map.colorSpace = THREE.SRGBColorSpace;
    this.seenLook = new THREE.MeshStandardMaterial({ map, roughness: 0.9 });
    return this.seenLook;
  }

  async setLook(name) {
    this.look = name;
    const seen = name === "seen" ? await this.#seenMaterial() : null;
    if (this.look !== name) return;
    for (const mesh of this.meshes) mesh.material = { textured: this.skin.get(mesh), clay: this.clay, wire: this.wire, skeleton: this.glass, seen }[name];
    this.bones.mesh.visible = name === "skeleton";
    this.legend.hidden = name !== "seen";
    this.touch();
  }

  #clips(motions) {
    this.mixer = new THREE.AnimationMixer(this.root);
    this.clips = {};
    for (const [name, motion] of Object.entries(motions)) {
      const count = motion.root.length;
      const times = Float32Array.from({ length: count + 1 }, (_, k) => k / motion.fps);
      const flat = (rows) => Float32Array.from([...rows, rows[0]].flat());
      const tracks = [];
      for (const [node, turns] of Object.entries(motion.nodes)) {
        if (this.nodes.has(node)) tracks.push(new THREE.QuaternionKeyframeTrack(`${this.nodes.get(node).uuid}.quaternion`, times, flat(turns)));
      }
      const root = this.nodes.get(motion.root_node);
      if (root) tracks.push(new THREE.VectorKeyframeTrack(`${root.uuid}.position`, times, flat(motion.root)));
      this.clips[name] = new THREE.AnimationClip(name, count / motion.fps, tracks);
    }
    this.motions = Object.keys(this.clips);
    this.hasPhotoPose = Boolean(this.pose?.rotations);
    this.shapes = Object.keys(this.meshes[0]?.morphTargetDictionary ?? {});
  }

  play(name) {
    this.mixer.stopAllAction();
    for (const [node, [position, turn]] of this.rest) { node.position.copy(position); node.quaternion.copy(turn); }
    this.playing = name;
    if (this.clips[name]) this.mixer.clipAction(this.clips[name]).play();
    else if (name === "photo") this.#asInThePhoto();
    this.mixer.update(0);
    this.touch();
  }

  // The photo's pose, upright on the ground: the root's own turn is the camera's view, of which only the pose of the limbs matters here.
  #asInThePhoto() {
    for (const [name, q] of Object.entries(this.pose.rotations)) {
      const node = this.nodes.get(name);
      if (node && name !== this.pose.root) node.quaternion.fromArray(q);
    }
    this.root.updateMatrixWorld(true);
    let low = Infinity;
    const point = new THREE.Vector3();
    for (const mesh of this.meshes) {
      const count = mesh.geometry.attributes.position.count;
      for (let v = 0; v < count; v += 7) low = Math.min(low, mesh.getVertexPosition(v, point).applyMatrix4(mesh.matrixWorld).y);
    }
    const root = this.nodes.get(this.pose.root);
    if (root && Number.isFinite(low)) root.position.y -= low;
  }

  pause(on) { this.paused = on; }

  setSpeed(factor) { this.mixer.timeScale = factor; }

  setShape(name, value) {
    for (const mesh of this.meshes) {
      const index = mesh.morphTargetDictionary?.[name];
      if (index !== undefined) mesh.morphTargetInfluences[index] = value;
    }
    this.touch();
  }

  #controls() {
    const looks = LOOKS.filter((name) => name !== "seen" || this.seenFile);
    this.legend = h("p", { class: "legend", hidden: true }, h("i", { class: "guess" }), t.seenLegend[0], h("i", { class: "sure" }), t.seenLegend[1]);
    const turn = h("button", { type: "button", class: "round", "aria-label": t.turntable, title: t.turntable, "aria-pressed": "false", onclick: () => {
      this.orbit.autoRotate = !this.orbit.autoRotate;
      turn.setAttribute("aria-pressed", String(this.orbit.autoRotate));
    } }, icon("turn"));
    const reset = h("button", { type: "button", class: "round", "aria-label": t.reset, title: t.reset, onclick: () => this.#view() }, icon("home"));
    const full = document.fullscreenEnabled ? h("button", { type: "button", class: "round", "aria-label": t.full, title: t.full, onclick: () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else this.stage.requestFullscreen();
    } }, icon("full")) : null;
    this.stage.append(h("div", { class: "tools-right" }, turn, reset, full), this.legend,
      h("div", { class: "looks" }, choice(t.looks, "look", looks.map((name) => [name, t[name]]), "textured", (name) => this.setLook(name))));
  }

  // Draws only what has changed: a still avatar costs nothing.
  #run() {
    const clock = new THREE.Clock();
    this.orbit.addEventListener("change", () => this.touch());
    this.renderer.setAnimationLoop(() => {
      const step = Math.min(clock.getDelta(), 0.1);
      const moving = !this.paused && this.clips[this.playing] !== undefined;
      if (moving) this.mixer.update(step);
      this.orbit.update(step);
      if (!moving && !this.stale) return;
      this.stale = false;
      this.#draw();
    });
  }

  touch() { this.stale = true; }

  close() {
    this.renderer.setAnimationLoop(null);
    this.resizing.disconnect();
    this.looking.abort();
    this.orbit.dispose();
    this.mixer.stopAllAction();
    for (const mesh of this.meshes) { mesh.geometry.dispose(); this.skin.get(mesh).map?.dispose(); }
    this.bones.dispose();
    this.renderer.dispose();
    this.renderer.domElement.remove();
  }
}
