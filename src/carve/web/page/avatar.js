// One avatar: how it is made, then the avatar itself beside its panels.
import * as api from "./api.js";
import { ask, h, icon, say } from "./dom.js";
import { aboutPanel } from "./panels/about.js";
import { correctPanel } from "./panels/correct.js";
import { facePanel } from "./panels/face.js";
import { filesPanel } from "./panels/files.js";
import { movePanel } from "./panels/move.js";
import { progressView } from "./progress.js";
import { texts } from "./texts.js";

export function avatarView(id, server) {
  const element = h("div", { class: "avatar" });
  let stop = () => {};
  let viewer = null;
  let making = null;
  let closed = false;

  const drop = () => { viewer?.close(); viewer = null; making = null; };
  const actions = {
    rerun: async (form) => {
      stop(); // what is taken back for the new run is no failure to tell
      try { await api.rerun(id, form); drop(); } finally { watch(); }
    },
    remove: async () => {
      if (!await ask(texts.about.deleteSure, texts.delete, texts)) return;
      stop();
      await api.remove(id);
      location.hash = "#/";
    },
  };

  function watch() {
    stop();
    stop = api.follow(id, hear, () => { location.hash = "#/"; });
  }

  function hear(state) {
    if (closed) return;
    if (state.state === "done") { drop(); say(texts.progress.done); result(state); return; }
    if (!making) { drop(); making = progressView(server, actions); element.replaceChildren(...making.parts); }
    making.update(state);
  }

  async function result(state) {
    const [{ Viewer }, report, motions, pose] = await Promise.all([import("./viewer.js"),
      ...["report.json", "motions.json", "pose.json"].map((name) => api.file(state, name) ? api.json(api.file(state, name).url).catch(() => null) : null)]);
    if (closed) return;
    const stage = h("div", { class: "stage" });
    const said = h("p", { class: "loading" }, texts.viewer.loading);
    stage.append(said);
    const tabs = panels(state, report, server, actions);
    element.replaceChildren(stage, tabs.element);
    const shown = await Viewer.open(stage, api.file(state, "avatar.glb"), api.file(state, "seen.png"), motions ?? {}, pose);
    said.remove();
    if (!shown) { stage.append(h("p", { class: "loading" }, texts.viewer.noWebgl)); return; }
    if (closed) { shown.close(); return; }
    viewer = shown;
    tabs.fill(viewer);
  }

  api.avatar(id).then((state) => { document.title = `${state.name} – ${texts.title}`; watch(); }).catch(() => {
    element.replaceChildren(h("p", { class: "lonely" }, texts.gone));
  });
  return { element, name: "one", title: "", close: () => { closed = true; stop(); viewer?.close(); } };
}

function panels(state, report, server, actions) {
  const parts = {
    about: aboutPanel(state, report, actions),
    move: movePanel(),
    face: facePanel(),
    correct: correctPanel(state, server, actions),
    files: filesPanel(state, actions),
  };
  const names = Object.keys(parts);
  const buttons = names.map((name) => h("button", { type: "button", role: "tab", id: `tab-${name}`, "aria-controls": `panel-${name}`, onclick: () => choose(name) }, texts.tabs[name]));
  const sheets = names.map((name) => h("section", { class: "panel", role: "tabpanel", id: `panel-${name}`, "aria-labelledby": `tab-${name}`, tabIndex: 0 }, parts[name].element));
  const list = h("div", { role: "tablist", class: "tabs", onkeydown: (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (names.findIndex((name) => buttons[names.indexOf(name)].getAttribute("aria-selected") === "true") + step + names.length) % names.length;
    choose(names[next]);
    buttons[next].focus();
  } }, buttons);

  function choose(name) {
    names.forEach((other, k) => {
      buttons[k].setAttribute("aria-selected", String(other === name));
      buttons[k].tabIndex = other === name ? 0 : -1;
      sheets[k].hidden = other !== name;
    });
  }

  choose("about");
  const head = h("div", { class: "title" }, h("h1", {}, state.name), h("span", { class: `state ${state.state}` }, texts.states[state.state]));
  return {
    element: h("aside", { class: "side" }, head, list, sheets),
    fill: (viewer) => { for (const part of Object.values(parts)) part.fill?.(viewer); },
  };
}
