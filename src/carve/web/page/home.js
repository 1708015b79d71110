// The start page: choosing photos, and the avatars that are there.
import * as api from "./api.js";
import { bytes, choice, failed, h, icon, say } from "./dom.js";
import { texts } from "./texts.js";

const t = texts.home;
const REFRESH = 3000;

export function homeView(server) {
  const list = cards(12);
  const element = h("div", { class: "wide" },
    h("div", { class: "hero" },
      h("div", { class: "claim" }, h("h1", {}, t.title), h("p", { class: "lead" }, t.lead(server.keys)), h("p", { class: "soft" }, t.hint),
        server.keep_seconds ? h("p", { class: "soft" }, t.kept(Math.round(server.keep_seconds / 3600))) : null),
      chooser(server)),
    list.element);
  return { element, name: "home", title: null, close: list.close };
}

export function galleryView() {
  const list = cards(200);
  return { element: h("div", { class: "wide" }, list.element), name: "gallery", title: texts.gallery, close: list.close };
}

function chooser(server) {
  const chosen = [];
  const options = { preset: "standard" };
  const input = h("input", { type: "file", id: "photo", accept: "image/*,.heic,.heif,.avif,.tif,.tiff", multiple: true, class: "unseen", tabIndex: -1, "aria-label": t.choose });
  const wrong = h("p", { class: "error", role: "alert", hidden: true });
  const zone = h("div", { class: "zone" });
  const card = h("section", { class: "card chooser", "aria-label": texts.newAvatar }, input, zone, wrong);

  const take = (files) => {
    failed(wrong, null);
    for (const file of files) {
      if (!file.type.startsWith("image/") && !/\.(jpe?g|png|webp|heic|heif|avif|tiff?|bmp|gif)$/i.test(file.name)) failed(wrong, t.notPicture(file.name));
      else if (file.size > server.upload_bytes) failed(wrong, t.tooLarge(file.name, bytes(server.upload_bytes)));
      else chosen.push({ file, url: URL.createObjectURL(file) });
    }
    draw();
  };
  const dropped = (event) => { event.preventDefault(); card.classList.remove("over"); take(event.dataTransfer.files); };
  card.addEventListener("dragover", (event) => { event.preventDefault(); card.classList.add("over"); });
  card.addEventListener("dragleave", () => card.classList.remove("over"));
  card.addEventListener("drop", dropped);
  input.addEventListener("change", () => { take(input.files); input.value = ""; });

  function draw() {
    zone.replaceChildren(...(chosen.length ? form() : empty()));
    card.classList.toggle("filled", chosen.length > 0);
  }

  function empty() {
    return [h("div", { class: "drop" }, h("span", { class: "badge" }, icon("upload")), h("p", { class: "big" }, t.drop), h("p", { class: "soft" }, t.or),
      h("button", { class: "primary", type: "button", onclick: () => input.click() }, t.choose),
      h("p", { class: "soft fine" }, t.formats(bytes(server.upload_bytes))))];
  }

  function form() {
    const height = h("input", { id: "height", type: "text", inputMode: "decimal", autocomplete: "off", value: options.height ?? "", "aria-describedby": "height-hint",
      oninput: () => { options.height = height.value.trim(); } });
    const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": texts.progress.bar });
    const go = h("button", { class: "primary big", type: "submit" }, chosen.length === 1 ? t.make : t.makeAll(chosen.length));
    const send = async (event) => {
      event.preventDefault();
      failed(wrong, null);
      go.disabled = true;
      bar.hidden = false;
      try {
        let last = null;
        for (const entry of [...chosen]) {
          const data = new FormData();
          data.append("photo", entry.file, entry.file.name);
          for (const [name, value] of Object.entries(options)) if (value) data.append(name, value);
          last = await api.create(data, (share) => {
            bar.value = share;
            go.textContent = share < 1 ? t.sending(share) : t.checking;
          });
          chosen.splice(chosen.indexOf(entry), 1);
          URL.revokeObjectURL(entry.url);
        }
        location.hash = chosen.length === 0 && last ? `#/avatar/${last.id}` : "#/gallery";
      } catch (error) {
        draw();
        failed(wrong, error);
      }
    };
    return [h("form", { onsubmit: send }, h("h2", {}, t.chosen(chosen.length)), h("ul", { class: "photos" }, chosen.map(picked)),
      h("div", { class: "field" }, h("label", { for: "height" }, t.height), height, h("small", { id: "height-hint" }, t.heightHint)),
      choice(t.quality, "preset", Object.entries(texts.presets).map(([name, [label, hint]]) => [name, label, hint]), options.preset, (value) => { options.preset = value; }, "choices"),
      bar, h("div", { class: "row" }, go, h("button", { class: "plain", type: "button", onclick: () => input.click() }, t.another)))];
  }

  function picked(entry) {
    const drop = () => { chosen.splice(chosen.indexOf(entry), 1); URL.revokeObjectURL(entry.url); draw(); };
    const image = h("img", { src: entry.url, alt: entry.file.name, onerror: () => image.replaceWith(h("span", { class: "noimage" }, entry.file.name)) });
    return h("li", {}, image, h("button", { class: "round small", type: "button", "aria-label": t.remove(entry.file.name), onclick: drop }, icon("close")));
  }

  draw();
  return card;
}

function cards(limit) {
  const list = h("ul", { class: "cards" });
  const empty = h("p", { class: "soft", hidden: true }, t.empty);
  const element = h("section", { class: "shelf" }, h("h2", {}, t.recent), empty, list);
  let timer = 0;
  let known = "";
  const refresh = async () => {
    try {
      const found = (await api.gallery()).slice(0, limit);
      const now = JSON.stringify(found.map((a) => [a.id, a.state, a.version, Math.round(a.progress * 50), a.stages.length]));
      if (now !== known) { known = now; list.replaceChildren(...found.map(card)); }
      empty.hidden = found.length > 0;
      if (found.some((a) => a.state === "queued" || a.state === "running")) timer = setTimeout(refresh, REFRESH);
    } catch (error) {
      say(error.message);
      timer = setTimeout(refresh, REFRESH);
    }
  };
  refresh();
  return { element, close: () => clearTimeout(timer) };
}

function card(a) {
  const picture = (a.state === "done" && api.file(a, "thumbnail.png")) || api.file(a, "photo.webp");
  const busy = a.state === "queued" || a.state === "running";
  return h("li", {}, h("a", { class: "tile", href: `#/avatar/${a.id}`, "aria-label": `${texts.open(a.name)}, ${texts.states[a.state]}` },
    h("div", { class: "face" }, picture ? h("img", { src: picture.url, alt: "", loading: "lazy" }) : null,
      busy ? h("progress", { max: 1, value: a.progress, "aria-label": texts.progress.bar }) : null),
    h("span", { class: "name" }, a.name), h("span", { class: `state ${a.state}` }, texts.states[a.state])));
}
