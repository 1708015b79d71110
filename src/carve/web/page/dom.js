// Elements without markup: text is always text.
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const shapes = {
  upload: "M12 16V4m0 0L7.500 8.500M12 4l4.500 4.500M4 15v3a2 2 0 0 0 2 2h12a2 2 0 0 0 2-2v-3",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v2m0 16v2M4.900 4.900l1.400 1.400m11.400 11.400 1.400 1.400M2 12h2m16 0h2M4.900 19.100l1.400-1.400M17.700 6.300l1.400-1.400",
  moon: "M20 14.500A8.500 8.500 0 0 1 9.500 4a8.500 8.500 0 1 0 10.500 10.500z",
  close: "M6 6l12 12M18 6L6 18",
  check: "M5 12.500l4.500 4.500L19 7.500",
  turn: "M4 12a8 8 0 0 1 13.700-5.600L20 8.500M20 4v4.500h-4.500M20 12a8 8 0 0 1-13.700 5.600L4 15.500M4 20v-4.500h4.500",
  home: "M4 11l8-7 8 7M6 9.500V20h12V9.500",
  full: "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
  save: "M12 4v11m0 0l-4.500-4.500M12 15l4.500-4.500M4 19h16",
  pause: "M8 5v14M16 5v14",
  play: "M7 4.500v15l12-7.500z",
  warn: "M12 9v4.500m0 3.200v.1M12 3.500L2.500 20h19z",
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", shapes[name]);
  svg.append(path);
  return svg;
}

export function bytes(count) {
  return count < 1e6 ? `${Math.max(1, Math.round(count / 1e3))} kB` : `${(count / 1e6).toFixed(count < 1e7 ? 1 : 0)} MB`;
}

// Said to screen readers, shown nowhere.
export function say(text) {
  const place = document.getElementById("said");
  if (place && place.textContent !== text) place.textContent = text;
}

export function failed(place, error) {
  place.textContent = error ? String(error.message ?? error) : "";
  place.hidden = !error;
}

// A group of buttons of which one is chosen: radio buttons for keyboard and screen reader.
export function choice(legend, name, options, chosen, change, kind = "segments") {
  return h("fieldset", { class: kind }, h("legend", {}, legend), h("div", { class: "options" }, options.map(([value, label, hint]) =>
    h("label", {}, h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => change(value) }),
      h("span", {}, h("b", {}, label), hint ? h("small", {}, hint) : null)))));
}

export function ask(question, verb, words) {
  return new Promise((resolve) => {
    const box = h("dialog", { class: "small", "aria-labelledby": "asked", onclose: () => { resolve(box.returnValue === "yes"); box.remove(); } },
      h("form", { method: "dialog" }, h("p", { id: "asked" }, question),
        h("div", { class: "row end" }, h("button", { value: "no", class: "plain", autofocus: true }, words.cancel),
          h("button", { value: "yes", class: "danger" }, verb))));
    document.body.append(box);
    box.showModal();
  });
}
