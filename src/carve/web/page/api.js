// The REST interface. Every failure is an Error with the server's own sentence.
import { texts } from "./texts.js";

async function answered(response) {
  if (response.ok) return response.status === 204 ? null : response.json();
  let detail = `${response.status} ${response.statusText}`;
  try { detail = (await response.json()).detail ?? detail; } catch { /* no JSON came: the status says it */ }
  throw Object.assign(new Error(detail), { status: response.status });
}

export const session = () => fetch("/v1/session").then(answered);
export const signIn = (key) =>
  fetch("/v1/session", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }) }).then(answered);
export const signOut = () => fetch("/v1/session", { method: "DELETE" }).then(answered);
export const gallery = () => fetch("/v1/avatars").then(answered).then((found) => found.avatars);
export const avatar = (id) => fetch(`/v1/avatars/${id}`).then(answered);
export const remove = (id) => fetch(`/v1/avatars/${id}`, { method: "DELETE" }).then(answered);
export const rerun = (id, form) => fetch(`/v1/avatars/${id}/rerun`, { method: "POST", body: form }).then(answered);
export const json = (url) => fetch(url).then(answered);

// Sends a form; `told` hears the share that is sent.
export function create(form, told) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", "/v1/avatars");
    request.upload.addEventListener("progress", (event) => { if (event.lengthComputable) told(event.loaded / event.total); });
    request.addEventListener("load", () => {
      let said = {};
      try { said = JSON.parse(request.responseText); } catch { /* the status says it */ }
      if (request.status === 202) resolve(said);
      else reject(new Error(said.detail ?? `${request.status} ${request.statusText}`));
    });
    request.addEventListener("error", () => reject(new Error(texts.lost)));
    request.send(form);
  });
}

// Follows an avatar until it is done; the function that comes back ends that.
export function follow(id, hear, gone) {
  const source = new EventSource(`/v1/avatars/${id}/events`);
  source.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    if (state.state === "done" || state.state === "failed") source.close();
    hear(state);
  });
  source.addEventListener("gone", () => { source.close(); gone(); });
  return () => source.close();
}

export function file(state, name) {
  return state.files.find((entry) => entry.name === name) ?? null;
}
