import * as api from "./api.js";
import { failed, h } from "./dom.js";
import { texts } from "./texts.js";

export function signInView(then) {
  const key = h("input", { type: "password", id: "key", autocomplete: "current-password", required: true });
  const wrong = h("p", { class: "error", role: "alert", hidden: true });
  const enter = async (event) => {
    event.preventDefault();
    try { await api.signIn(key.value.trim()); then(); } catch (error) { failed(wrong, error); key.select(); }
  };
  return h("form", { class: "card narrow", onsubmit: enter }, h("h1", {}, texts.session.title), h("p", { class: "soft" }, texts.session.lead),
    h("label", { for: "key" }, texts.session.key), key, wrong, h("button", { class: "primary" }, texts.session.enter));
}
