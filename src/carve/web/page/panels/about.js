import { h, icon } from "../dom.js";
import { texts } from "../texts.js";

const t = texts.about;

function meter(part, value) {
  const bar = h("i", { class: value > 0.65 ? "sure" : value > 0.35 ? "some" : "" });
  bar.style.width = `${Math.round(value * 100)}%`;
  return h("div", { class: "meter", role: "meter", "aria-label": part, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.round(value * 100)) }, bar);
}

export function aboutPanel(state, report, actions) {
  const joints = report?.confidence?.joints ?? {};
  const mean = (names) => { const found = names.map((name) => joints[name]).filter(Number.isFinite); return found.length ? found.reduce((a, b) => a + b) / found.length : null; };
  const parts = Object.entries(t.parts).map(([part, names]) => [part, mean(names)]).filter(([, value]) => value !== null);
  const warnings = report?.warnings ?? [];
  const seconds = Object.values(report?.seconds ?? {}).reduce((a, b) => a + b, 0);
  const triangles = h("dd", {}, "–");
  const facts = [
    [t.trust, t.percent(report?.confidence?.trust ?? 0)],
    [t.height, report?.body ? `${report.body.height.toFixed(2)} m, ${report.body.height_source === "argument" ? t.given : t.estimated}` : "–"],
    [t.preset, texts.presets[report?.settings?.preset]?.[0] ?? "–"],
    [t.time, texts.progress.seconds(seconds)],
  ];
  const element = h("div", {},
    h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))), h("div", {}, h("dt", {}, t.triangles), triangles)),
    h("h2", {}, t.warnings),
    warnings.length ? h("ul", { class: "warnings" }, warnings.map((line) => h("li", {}, icon("warn"), h("span", {}, line)))) : h("p", { class: "soft" }, t.none),
    parts.length ? h("h2", {}, t.confidence) : null,
    h("ul", { class: "meters" }, parts.map(([part, value]) => h("li", {}, h("span", {}, part), meter(part, value), h("span", { class: "number" }, t.percent(value))))),
    h("div", { class: "row end" }, h("button", { type: "button", class: "plain danger-text", onclick: actions.remove }, t.delete)));
  return { element, fill: (viewer) => { triangles.textContent = viewer.triangles.toLocaleString("en"); } };
}
