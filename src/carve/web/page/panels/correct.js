import * as api from "../api.js";
import { failed, h, icon } from "../dom.js";
import { editLandmarks } from "../edit_landmarks.js";
import { editMask } from "../edit_mask.js";
import { texts } from "../texts.js";

const t = texts.correct;

export function correctPanel(state, server, actions) {
  const changes = new Map();
  const wrong = h("p", { class: "error", role: "alert", hidden: true });
  const go = h("button", { class: "primary", type: "submit" }, t.apply);
  const note = (name, value) => { if (value === null) changes.delete(name); else changes.set(name, value); go.disabled = changes.size === 0; };
  const photo = api.file(state, "photo.webp");
  const mask = api.file(state, "mask.png");
  const marks = api.file(state, "landmarks.json");

  const tools = [
    photo ? tool("mask", t.outline, t.outlineHint, () => editMask(photo, mask, state)) : null,
    photo && marks ? tool("landmarks", t.landmarks, t.landmarksHint, () => editLandmarks(photo, marks, state)) : null,
  ];

  function tool(name, label, hint, edit) {
    const corrected = state.corrected.includes(name);
    const mark = h("span", { class: "badge-text" }, corrected ? t.corrected : "");
    const back = h("button", { type: "button", class: "plain small", hidden: !corrected, onclick: () => { note(name, null); note(`reset-${name}`, name); mark.textContent = t.changed; back.hidden = true; } }, t.takeBack);
    const open = async () => {
      const result = await edit();
      if (!result) return;
      note(`reset-${name}`, null);
      note(name, result);
      mark.textContent = t.changed;
    };
    return h("div", { class: "tool" }, h("div", {}, h("b", {}, label), " ", mark, h("small", {}, hint)), h("div", { class: "row" }, back, h("button", { type: "button", class: "plain", onclick: open, "aria-label": `${t.edit}: ${label}` }, t.edit)));
  }

  const heightBefore = state.options.height ?? "";
  const height = h("input", { id: `height-${state.id}`, type: "text", autocomplete: "off", value: heightBefore, "aria-describedby": "correct-height", oninput: () => note("height", height.value.trim() === heightBefore ? null : height.value.trim()) });
  const presetBefore = state.options.preset ?? "standard";
  const preset = h("select", { id: `preset-${state.id}`, onchange: () => note("preset", preset.value === presetBefore ? null : preset.value) },
    server.presets.map((name) => h("option", { value: name, selected: name === presetBefore }, texts.presets[name]?.[0] ?? name)));
  const person = state.people.length > 1 ? h("select", { id: `person-${state.id}`, onchange: () => note("person", Number(person.value) === state.person ? null : person.value) },
    state.people.map((_, k) => h("option", { value: String(k), selected: k === state.person }, texts.progress.person(k)))) : null;

  const offBefore = state.options.without ?? [];
  const kept = Object.keys(t.worn).map((name) => h("label", {}, h("input", { type: "checkbox", name, checked: !offBefore.includes(name), onchange: keep }), h("span", {}, h("b", {}, t.worn[name][0]), h("small", {}, t.worn[name][1]))));
  function keep() {
    const off = Object.keys(t.worn).filter((name, k) => !kept[k].querySelector("input").checked);
    note("without", off.join() === offBefore.join() ? null : off);
  }

  const send = async (event) => {
    event.preventDefault();
    const form = new FormData();
    for (const [name, value] of changes) {
      if (Array.isArray(value)) for (const one of value.length ? value : [""]) form.append(name, one);
      else if (value instanceof Blob) form.append(name, value, name);
      else form.append(name.startsWith("reset-") ? "reset" : name, value);
    }
    go.disabled = true;
    try { await actions.rerun(form); } catch (error) { failed(wrong, error); go.disabled = false; }
  };
  const element = h("form", { class: "correct", onsubmit: send }, h("p", { class: "soft" }, t.lead), tools,
    h("div", { class: "field" }, h("label", { for: height.id }, t.height), height, h("small", { id: "correct-height" }, texts.home.heightHint)),
    h("div", { class: "field" }, h("label", { for: preset.id }, t.quality), preset),
    h("fieldset", { class: "kept" }, h("legend", {}, t.keep), h("div", { class: "checks" }, kept)),
    person ? h("div", { class: "field" }, h("label", { for: person.id }, t.person), person) : null, wrong, go);
  go.disabled = true;
  return { element };
}
