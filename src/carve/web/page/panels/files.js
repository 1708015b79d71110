import { bytes, failed, h, icon } from "../dom.js";
import { texts } from "../texts.js";

const t = texts.files;
const MADE_BY = { vrm: "avatar.vrm", usd: "avatar.usdz", fbx: "avatar.fbx", lod: "avatar_lod0.glb", obj: "avatar.obj", ply: "avatar.ply" };

export function filesPanel(state, actions) {
  const ready = state.files.filter((file) => file.download);
  const missing = Object.keys(MADE_BY).filter((name) => !state.files.some((file) => file.name === MADE_BY[name]));
  const avatars = ready.filter((file) => /^(avatar|posed|body)/.test(file.name));
  const others = ready.filter((file) => !avatars.includes(file));
  return { element: h("div", {}, h("h2", {}, t.ready), h("ul", { class: "files" }, avatars.map(entry)),
    h("details", {}, h("summary", {}, t.others), h("ul", { class: "files" }, others.map(entry))), h("h2", {}, t.more), missing.length ? more(missing, actions) : h("p", { class: "soft" }, t.all)) };
}

function entry(file) {
  return h("li", {}, h("a", { href: `${file.url}&download`, download: "" }, icon("save"), h("span", {}, h("b", {}, file.name), h("small", {}, file.title)), h("span", { class: "number soft" }, bytes(file.bytes))));
}

function more(missing, actions) {
  const wanted = new Set();
  const author = h("input", { id: "author", type: "text", autocomplete: "name" });
  const licence = h("input", { id: "licence", type: "url", value: "https://vrm.dev/licenses/1.0/" });
  const vrm = h("div", { class: "nested", hidden: true }, h("p", { class: "soft" }, t.vrmHint),
    h("div", { class: "field" }, h("label", { for: "author" }, t.author), author), h("div", { class: "field" }, h("label", { for: "licence" }, t.licence), licence));
  const wrong = h("p", { class: "error", role: "alert", hidden: true });
  const toggle = (name, on) => { if (on) wanted.add(name); else wanted.delete(name); vrm.hidden = !wanted.has("vrm"); };
  const send = async (event) => {
    event.preventDefault();
    if (!wanted.size) { failed(wrong, t.none); return; }
    const form = new FormData();
    for (const name of wanted) form.append(name, "true");
    if (wanted.has("vrm")) { form.append("vrm_author", author.value); form.append("vrm_licence", licence.value); }
    try { await actions.rerun(form); } catch (error) { failed(wrong, error); }
  };
  return h("form", { onsubmit: send }, h("p", { class: "soft" }, t.moreHint), h("div", { class: "checks" }, missing.map((name) => {
    const [label, hint] = t.formats[name];
    return h("label", {}, h("input", { type: "checkbox", onchange: (event) => toggle(name, event.target.checked) }), h("span", {}, h("b", {}, label), h("small", {}, hint)));
  })), vrm, wrong, h("button", { class: "primary" }, t.make));
}
