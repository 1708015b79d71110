import { h } from "../dom.js";
import { texts } from "../texts.js";

const t = texts.face;
const both = (name, value) => ({ [`${name}Left`]: value, [`${name}Right`]: value });
const PRESETS = {
  neutral: {},
  smile: { ...both("mouthSmile", 0.85), ...both("cheekSquint", 0.5), ...both("eyeSquint", 0.25) },
  surprise: { browInnerUp: 0.8, ...both("browOuterUp", 0.7), ...both("eyeWide", 0.8), jawOpen: 0.4 },
  sad: { browInnerUp: 0.8, ...both("mouthFrown", 0.8), ...both("eyeSquint", 0.2) },
  angry: { ...both("browDown", 1), ...both("noseSneer", 0.5), ...both("mouthPress", 0.5) },
  wink: { eyeBlinkLeft: 1, mouthSmileLeft: 0.5, mouthSmileRight: 0.3 },
  talk: { viseme_aa: 1 },
};

export function facePanel() {
  const element = h("div", {}, h("p", { class: "soft" }, t.none));
  const fill = (viewer) => {
    if (!viewer.shapes.length) return;
    const sliders = new Map();
    const set = (values) => {
      for (const [name, slider] of sliders) { slider.value = String(values[name] ?? 0); viewer.setShape(name, values[name] ?? 0); }
    };
    const groups = Object.entries(t.groups).map(([start, label]) => {
      const names = viewer.shapes.filter((name) => name.startsWith(start));
      return names.length ? h("details", {}, h("summary", {}, label), h("div", { class: "sliders" }, names.map((name) => slider(name, viewer, sliders)))) : null;
    });
    element.replaceChildren(h("h2", {}, t.presets),
      h("div", { class: "chips" }, Object.keys(PRESETS).map((name) => h("button", { type: "button", class: "chip", onclick: () => set(PRESETS[name]) }, t[name]))),
      h("h2", {}, t.fine), ...groups.filter(Boolean));
  };
  return { element, fill };
}

function slider(name, viewer, sliders) {
  const id = `shape-${name}`;
  const input = h("input", { type: "range", id, min: "0", max: "1", step: "0.01", value: "0", oninput: () => viewer.setShape(name, Number(input.value)) });
  sliders.set(name, input);
  const words = name.replace(/^viseme_/, "").replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return h("div", { class: "slider" }, h("label", { for: id }, words), input);
}
