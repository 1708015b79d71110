// What both editors share: a dialog over the whole window, and pictures that are there before they are drawn on.
import { h, icon } from "./dom.js";
import { texts } from "./texts.js";

export function load(url) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.onload = () => resolve(image);
    image.onerror = () => reject(new Error(texts.gone));
    image.alt = texts.progress.photo;
    image.src = url;
  });
}

// Shows an editor whose canvas has a width-to-height ratio; true if its result is to be used.
export function modal(title, content, tools, ratio) {
  return new Promise((resolve) => {
    const box = h("dialog", { class: "editor", "aria-labelledby": "editor-title", onclose: () => { resolve(box.returnValue === "use"); box.remove(); } },
      h("form", { method: "dialog" },
        h("header", {}, h("h2", { id: "editor-title" }, title), h("div", { class: "tools" }, tools),
          h("div", { class: "row" }, h("button", { value: "", class: "plain" }, texts.editor.cancel), h("button", { value: "use", class: "primary" }, texts.editor.use)))),
      h("div", { class: "canvas" }, content));
    content.style.setProperty("--ratio", String(ratio));
    document.body.append(box);
    box.showModal();
  });
}
