// Moving landmarks: the body's joints on the photo, each a button that pointer and arrow keys move. Gives the landmarks as JSON, or null.
import * as api from "./api.js";
import { h } from "./dom.js";
import { load, modal } from "./editor.js";
import { texts } from "./texts.js";

const t = texts.editor;
const HIDDEN = /^face_|_hand_|^(left|right)_(pinky|index|thumb)$|_(inner|outer)$/;
const LINES = [["left_shoulder", "right_shoulder"], ["left_hip", "right_hip"], ...["left", "right"].flatMap((side) => [["shoulder", "elbow"], ["elbow", "wrist"], ["shoulder", "hip"], ["hip", "knee"], ["knee", "ankle"], ["ankle", "foot_index"], ["ankle", "heel"]]
  .map((pair) => pair.map((name) => `${side}_${name}`)))];

export async function editLandmarks(photo, file, state) {
  const [image, landmarks] = await Promise.all([load(photo.url), api.json(file.url)]);
  const names = Object.keys(landmarks).filter((name) => !HIDDEN.test(name) && landmarks[name].pixel.every(Number.isFinite));
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${state.width} ${state.height}`);
  svg.setAttribute("aria-hidden", "true");
  const lines = LINES.filter((pair) => pair.every((name) => names.includes(name))).map((pair) => {
    const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
    svg.append(line);
    return [pair, line];
  });
  const marks = names.map((name) => mark(name));
  const board = h("div", { class: "board" }, image, svg, marks);
  image.className = "under";
  let changed = false;

  function mark(name) {
    const point = h("button", { type: "button", class: `mark ${name.startsWith("left") ? "left" : name.startsWith("right") ? "right" : ""}`, title: name.replaceAll("_", " "), "aria-label": t.mark(name.replaceAll("_", " ")) });
    let held = false;
    point.addEventListener("pointerdown", (event) => { event.preventDefault(); point.focus(); point.setPointerCapture(event.pointerId); held = true; });
    point.addEventListener("pointermove", (event) => {
      if (!held) return;
      const box = board.getBoundingClientRect();
      put(name, [(event.clientX - box.left) / box.width * state.width, (event.clientY - box.top) / box.height * state.height]);
    });
    for (const end of ["pointerup", "pointercancel"]) point.addEventListener(end, () => { held = false; });
    point.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      const far = (event.shiftKey ? 0.02 : 0.003) * state.height;
      put(name, landmarks[name].pixel.map((x, k) => x + step[k] * far));
    });
    return point;
  }

  function put(name, pixel) {
    const inside = [Math.min(Math.max(pixel[0], 0), state.width), Math.min(Math.max(pixel[1], 0), state.height)];
    landmarks[name] = { ...landmarks[name], pixel: inside.map((x) => Math.round(x * 100) / 100), confidence: 1, spread: [0, 0, landmarks[name].spread?.[2] ?? 0] };
    changed = true;
    draw();
  }

  function draw() {
    names.forEach((name, k) => {
      const [u, v] = landmarks[name].pixel;
      Object.assign(marks[k].style, { left: `${u / state.width * 100}%`, top: `${v / state.height * 100}%`, opacity: String(0.45 + 0.55 * (landmarks[name].confidence ?? 1)) });
    });
    for (const [[a, b], line] of lines) {
      const [from, to] = [landmarks[a].pixel, landmarks[b].pixel];
      for (const [key, value] of Object.entries({ x1: from[0], y1: from[1], x2: to[0], y2: to[1] })) line.setAttribute(key, value);
    }
  }

  draw();
  const used = await modal(t.marksTitle, board, [], state.width / state.height);
  return used && changed ? new Blob([JSON.stringify(landmarks)], { type: "application/json" }) : null;
}
