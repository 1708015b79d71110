// A run as it goes: the stages with their pictures, everyone who was found, and what failed.
import * as api from "./api.js";
import { h, icon } from "./dom.js";
import { correctPanel } from "./panels/correct.js";
import { texts } from "./texts.js";

const t = texts.progress;

export function progressView(server, actions) {
  const picture = h("div", { class: "making" });
  const bar = h("progress", { max: 1, value: 0, "aria-label": t.bar });
  const share = h("span", { class: "number" });
  const left = h("span", { class: "soft" });
  const title = h("h1", {}, t.title);
  const name = h("p", { class: "soft" });
  const wrong = h("div", { class: "error", role: "alert", hidden: true });
  const people = h("div", { class: "people", hidden: true });
  const list = h("ol", { class: "stages" });
  const names = [...server.stages, "outputs"];
  const rows = Object.fromEntries(names.map((stage) => [stage, row(stage)]));
  list.append(...names.map((stage) => rows[stage].element));
  const foot = h("div", { class: "row" }, h("button", { class: "plain", type: "button", onclick: actions.remove }, t.cancel));
  const side = h("aside", { class: "side making-side" }, h("div", { class: "title" }, title), name, wrong,
    h("div", { class: "bar-row" }, bar, share), left, people, list, foot);
  let shownPicture = "";
  let shownPeople = "";
  let begun = null;

  function update(state) {
    name.textContent = state.name;
    const failed = state.state === "failed";
    const done = Object.fromEntries(state.stages.map((entry) => [entry.stage, entry]));
    for (const stage of names) rows[stage].update(done[stage], state.stage === stage && !failed);
    bar.value = state.progress;
    share.textContent = `${Math.round(state.progress * 100)} %`;
    bar.parentElement.hidden = failed;
    title.textContent = failed ? t.failed : t.title;
    left.textContent = failed ? "" : state.state === "queued" ? t.waiting(state.waiting ?? 0) : remaining(state);
    wrong.hidden = !failed;
    if (failed) failure(state);
    showPicture(state);
    showPeople(state);
  }

  function remaining(state) {
    if (begun === null) begun = { at: performance.now(), progress: state.progress };
    const gone = (performance.now() - begun.at) / 1000;
    const made = state.progress - begun.progress;
    return gone > 5 && made > 0.05 ? t.left((1 - state.progress) * gone / made) : "";
  }

  function failure(state) {
    if (wrong.dataset.told === state.message) return;
    wrong.dataset.told = state.message;
    wrong.replaceChildren(h("p", {}, icon("warn"), state.message));
    list.hidden = true;
    foot.replaceChildren(h("button", { class: "primary", type: "button", onclick: () => actions.rerun(new FormData()) }, t.again),
      h("button", { class: "plain", type: "button", onclick: actions.remove }, texts.about.delete));
    foot.before(h("section", { class: "correct-failed" }, h("h2", {}, texts.tabs.correct), correctPanel(state, server, actions).element));
  }

  function showPicture(state) {
    const last = [...state.stages].reverse().find((entry) => entry.picture);
    const photo = api.file(state, "photo.webp");
    const source = state.people.length > 1 && state.stages.length < 3 && photo ? photo.url : last ? last.picture : photo?.url ?? "";
    if (source === shownPicture) return;
    shownPicture = source;
    const image = h("img", { src: source, alt: last && source === last.picture ? t.picture(texts.stages[last.stage][0]) : t.photo });
    const frame = h("div", { class: "frame" }, image);
    if (photo && source === photo.url && state.people.length > 1) frame.append(...state.people.map((box, k) => outline(box, k, state)));
    picture.replaceChildren(frame);
  }

  function outline(box, k, state) {
    const mark = h("button", { type: "button", class: "box", "aria-pressed": String(k === state.person), "aria-label": t.person(k), onclick: () => pick(k, state) },
      h("span", {}, String(k + 1)));
    const [left0, top, right, bottom] = [box.left, box.top, box.right, box.bottom].map((x) => Math.min(Math.max(x, 0), 1) * 100);
    Object.assign(mark.style, { left: `${left0}%`, top: `${top}%`, width: `${right - left0}%`, height: `${bottom - top}%` });
    return mark;
  }

  function showPeople(state) {
    const now = JSON.stringify([state.people, state.person]);
    if (now === shownPeople) return;
    shownPeople = now;
    people.hidden = state.people.length < 2;
    people.replaceChildren(h("p", {}, t.people(state.people.length)), h("div", { class: "row" }, state.people.map((_, k) =>
      h("button", { type: "button", class: "chip", "aria-pressed": String(k === state.person), onclick: () => pick(k, state) }, t.person(k)))));
  }

  function pick(k, state) {
    if (k === state.person) return;
    const form = new FormData();
    form.append("person", String(k));
    actions.rerun(form);
  }

  return { parts: [picture, side], update };
}

function row(stage) {
  const [label, hint] = texts.stages[stage];
  const dot = h("span", { class: "dot" });
  const thumb = h("span", { class: "thumb" });
  const time = h("span", { class: "number soft" });
  const element = h("li", {}, dot, h("span", { class: "what" }, h("b", {}, label), h("small", {}, hint)), thumb, time);
  let drawn = "";
  return {
    element,
    update(done, running) {
      element.className = done ? "done" : running ? "running" : "";
      if (running) element.setAttribute("aria-current", "step");
      else element.removeAttribute("aria-current");
      dot.replaceChildren(...(done ? [icon("check")] : []));
      time.textContent = done ? (done.kept ? t.kept : done.seconds === null ? "" : t.seconds(done.seconds)) : "";
      const source = done?.picture ?? "";
      if (source !== drawn) { drawn = source; thumb.replaceChildren(...(source ? [h("img", { src: source, alt: "" })] : [])); }
    },
  };
}
