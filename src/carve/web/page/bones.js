// The skeleton as solid bones from joint to joint, thickest near their beginning.
import * as THREE from "./vendor/three.min.js";

const THICKNESS = 0.09; // of a bone's length
const THICKEST = 0.022; // metres
const RING = 0.16; // where a bone is thickest, as a share of its length
const SIDES = 4;

export class Bones {
  constructor(root, color) {
    this.root = root;
    this.pairs = [];
    root.traverse((node) => { if (node.isBone) for (const child of node.children) if (child.isBone) this.pairs.push([node, child]); });
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(this.pairs.length * SIDES * 2 * 9), 3));
    this.mesh = new THREE.Mesh(geometry, new THREE.MeshStandardMaterial({ color, roughness: 0.6, flatShading: true }));
    Object.assign(this.mesh, { frustumCulled: false, visible: false });
  }

  // Where the bones are now.
  update() {
    this.root.updateMatrixWorld(true);
    const place = this.mesh.geometry.attributes.position;
    const [a, b, along, across, other] = Array.from({ length: 5 }, () => new THREE.Vector3());
    let k = 0;
    const put = (point) => { place.setXYZ(k, point.x, point.y, point.z); k += 1; };
    for (const [parent, child] of this.pairs) {
      a.setFromMatrixPosition(parent.matrixWorld);
      b.setFromMatrixPosition(child.matrixWorld);
      along.copy(b).sub(a);
      const length = along.length();
      const radius = Math.min(THICKNESS * length, THICKEST);
      across.set(Math.abs(along.x) < 0.5 * length ? 1 : 0, Math.abs(along.x) < 0.5 * length ? 0 : 1, 0).cross(along).setLength(radius || 1);
      other.copy(along).cross(across).setLength(radius || 1);
      const ring = Array.from({ length: SIDES }, (_, i) => {
        const turn = (2 * Math.PI * i) / SIDES;
        return a.clone().addScaledVector(along, RING).addScaledVector(across, Math.cos(turn)).addScaledVector(other, Math.sin(turn));
      });
      for (let i = 0; i < SIDES; i += 1) {
        const next = ring[(i + 1) % SIDES];
        for (const point of [a, next, ring[i], b, ring[i], next]) put(point);
      }
    }
    place.needsUpdate = true;
  }

  dispose() { this.mesh.geometry.dispose(); this.mesh.material.dispose(); }
}
