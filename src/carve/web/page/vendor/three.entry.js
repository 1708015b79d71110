export {
  ACESFilmicToneMapping, AmbientLight, AnimationClip, AnimationMixer, Box3, BufferAttribute, BufferGeometry, CanvasTexture, CircleGeometry, Clock, Color,
  DirectionalLight, DoubleSide, Group, HemisphereLight, LineBasicMaterial, LineSegments, LinearFilter, Matrix4, Mesh, MeshBasicMaterial, MeshStandardMaterial,
  PCFSoftShadowMap, PerspectiveCamera, PlaneGeometry, Quaternion, QuaternionKeyframeTrack, Scene, ShaderMaterial, ShadowMaterial, SkeletonHelper, SRGBColorSpace, NoColorSpace, TextureLoader,
  Vector3, VectorKeyframeTrack, WebGLRenderer,
} from "three";
export { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
