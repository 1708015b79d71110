// Painting the outline: the mask over the photo, with a brush that pointer and keyboard move. Gives a PNG of the photo's proportions, or null.
import { choice, h, icon } from "./dom.js";
import { load, modal } from "./editor.js";
import { texts } from "./texts.js";

const t = texts.editor;
const UNDO = 20;
const TINT = [15, 160, 140];

export async function editMask(photo, mask, state) {
  const [image, given] = await Promise.all([load(photo.url), mask ? load(mask.url) : null]);
  const { naturalWidth: width, naturalHeight: height } = image;
  const cover = h("canvas", { width, height });
  const paint = cover.getContext("2d", { willReadFrequently: true });
  paint.fillStyle = "#000";
  paint.fillRect(0, 0, width, height);
  if (given) paint.drawImage(given, 0, 0, width, height);
  const canvas = h("canvas", { width, height, tabIndex: 0, role: "img", "aria-label": t.maskLabel, class: "paint" });
  const view = canvas.getContext("2d");
  const past = [];
  let brush = Math.max(4, Math.round(height / 40));
  let adding = true;
  let at = [width / 2, height / 2];
  let pressed = false;

  function draw() {
    view.drawImage(image, 0, 0);
    const pixels = view.getImageData(0, 0, width, height);
    const covered = paint.getImageData(0, 0, width, height).data;
    const data = pixels.data;
    for (let k = 0; k < data.length; k += 4) {
      const share = covered[k] / 255;
      for (let c = 0; c < 3; c += 1) data[k + c] = share * (0.72 * data[k + c] + 0.28 * TINT[c]) + (1 - share) * (0.3 * data[k + c] + 12);
    }
    view.putImageData(pixels, 0, 0);
    view.beginPath();
    view.arc(at[0], at[1], brush, 0, 2 * Math.PI);
    view.lineWidth = Math.max(2, height / 400);
    view.strokeStyle = adding ? "#5fd0bf" : "#ff9d8a";
    view.stroke();
  }

  function stroke(from, to) {
    paint.strokeStyle = paint.fillStyle = adding ? "#fff" : "#000";
    paint.lineWidth = 2 * brush;
    paint.lineCap = "round";
    paint.beginPath();
    paint.moveTo(...from);
    paint.lineTo(to[0], to[1] + 0.01);
    paint.stroke();
  }

  const keep = () => { past.push(paint.getImageData(0, 0, width, height)); if (past.length > UNDO) past.shift(); undo.disabled = false; };
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height];
  };
  let waiting = false;
  const soon = () => { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw(); }); } };
  canvas.addEventListener("pointerdown", (event) => { event.preventDefault(); canvas.focus(); canvas.setPointerCapture(event.pointerId); keep(); pressed = true; at = place(event); stroke(at, at); soon(); });
  canvas.addEventListener("pointermove", (event) => { const to = place(event); if (pressed) stroke(at, to); at = to; soon(); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { pressed = false; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (step) { const to = [at[0] + step[0] * brush / 2, at[1] + step[1] * brush / 2]; if (event.shiftKey) { keep(); stroke(at, to); } at = to; }
    else if (event.key === " ") { keep(); stroke(at, at); }
    else return;
    event.preventDefault();
    soon();
  });
  const size = h("input", { type: "range", id: "brush", min: "2", max: String(Math.round(height / 8)), value: String(brush), oninput: () => { brush = Number(size.value); soon(); } });
  const undo = h("button", { type: "button", class: "plain", disabled: true, onclick: () => { const last = past.pop(); if (last) paint.putImageData(last, 0, 0); undo.disabled = !past.length; soon(); } }, t.undo);
  const tools = [choice(t.brush, "tool", [["add", t.add], ["erase", t.erase]], "add", (value) => { adding = value === "add"; soon(); }),
    h("div", { class: "field inline" }, h("label", { for: "brush" }, t.size), size), undo];
  draw();
  if (!await modal(t.maskTitle, canvas, tools, width / height)) return null;
  return new Promise((resolve) => cover.toBlob(resolve, "image/png"));
}
