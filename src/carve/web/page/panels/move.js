import { choice, h, icon } from "../dom.js";
import { texts } from "../texts.js";

const t = texts.move;

export function movePanel() {
  const element = h("div");
  const fill = (viewer) => {
    const poses = ["rest", ...(viewer.hasPhotoPose ? ["photo"] : [])];
    const known = ["idle", "walk", "wave", "stretch", "squat"].filter((name) => viewer.motions.includes(name));
    const set = (name) => { viewer.play(name); play.disabled = poses.includes(name); mark(); };
    const play = h("button", { type: "button", class: "plain" });
    const mark = () => play.replaceChildren(icon(viewer.paused ? "play" : "pause"), viewer.paused ? t.play : t.pause);
    play.addEventListener("click", () => { viewer.pause(!viewer.paused); mark(); });
    const speed = h("input", { type: "range", id: "speed", min: "0.25", max: "2", step: "0.05", value: "1", oninput: () => viewer.setSpeed(Number(speed.value)) });
    element.replaceChildren(
      choice(t.motions, "pose", [...known, ...poses].map((name) => [name, t[name]]), viewer.playing, set, "choices grid"),
      known.length ? h("div", { class: "field" }, h("label", { for: "speed" }, t.speed), speed) : h("p", { class: "soft" }, t.none),
      known.length ? h("div", { class: "row" }, play) : "");
    play.disabled = poses.includes(viewer.playing);
    mark();
  };
  return { element, fill };
}
