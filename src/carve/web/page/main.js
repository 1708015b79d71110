// Header, colours, and which view the address shows.
import * as api from "./api.js";
import { avatarView } from "./avatar.js";
import { h, icon, say } from "./dom.js";
import { galleryView, homeView } from "./home.js";
import { signInView } from "./sign_in.js";
import { texts } from "./texts.js";

const root = document.documentElement;
const main = h("main", { id: "main", tabIndex: -1 });
const links = { "": h("a", { href: "#/" }, texts.newAvatar), gallery: h("a", { href: "#/gallery" }, texts.gallery) };
const theme = h("button", { class: "round", type: "button", onclick: () => setTheme(isDark() ? "light" : "dark") });
const leave = h("button", { class: "plain", type: "button", hidden: true, onclick: async () => { await api.signOut(); location.reload(); } }, texts.signOut);
const brand = h("a", { class: "brand", href: "#/", "aria-label": texts.brand }, h("img", { src: "/page/mark.svg", alt: "", width: "28", height: "28" }), h("span", {}, texts.title));
document.body.append(
  h("a", { class: "skip", href: "#main", onclick: (event) => { event.preventDefault(); main.focus(); } }, texts.skip),
  h("header", { class: "bar" }, brand, h("nav", {}, Object.values(links)), leave, theme),
  main,
  h("div", { id: "said", class: "unseen", role: "status", "aria-live": "polite" }),
);

function isDark() {
  return root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(name) {
  if (name) { root.dataset.theme = name; localStorage.setItem("theme", name); }
  theme.replaceChildren(icon(isDark() ? "sun" : "moon"));
  theme.setAttribute("aria-label", isDark() ? texts.themeLight : texts.themeDark);
  dispatchEvent(new Event("themechange"));
}

let close = () => {};
let server = null;

async function show() {
  close();
  close = () => {};
  const [, kind = "", id = ""] = location.hash.split("/");
  for (const [name, link] of Object.entries(links)) {
    if (name === kind) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  try {
    server = await api.session();
  } catch {
    main.replaceChildren(h("p", { class: "lonely" }, texts.lost));
    setTimeout(show, 3000);
    return;
  }
  leave.hidden = !(server.keys && server.client);
  if (server.keys && !server.client) { main.replaceChildren(signInView(show)); return; }
  const view = kind === "avatar" && /^[0-9a-f]{16}$/.test(id) ? avatarView(id, server) : kind === "gallery" ? galleryView() : homeView(server);
  main.className = view.name;
  main.replaceChildren(view.element);
  close = view.close;
  document.title = view.title ? `${view.title} – ${texts.title}` : texts.title;
  say(view.title ?? "");
}

setTheme(localStorage.getItem("theme"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(null));
addEventListener("hashchange", () => { show(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
show();
