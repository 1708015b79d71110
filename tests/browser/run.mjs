// Opens page.html in headless Chromium and prints what it reports: node run.mjs CHROMIUM SCENARIO FILE...
// Files are served as /files/0, /files/1, ... and libraries from node_modules; nothing outside this machine is asked for.
import { spawn } from "node:child_process";
import { createReadStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";

const [chromium, scenario, ...files] = process.argv.slice(2); // a scenario may have parameters: pictures&size=640x480
const root = dirname(fileURLToPath(import.meta.url));
const types = { ".html": "text/html", ".mjs": "text/javascript", ".js": "text/javascript", ".wasm": "application/wasm" };
const profile = mkdtempSync(join(tmpdir(), "carve-browser-"));
let browser;
let finished = false;

function finish(text, code) {
  if (finished) return;
  finished = true;
  process.stdout.write(text + "\n");
  browser?.kill("SIGKILL");
  server.close();
  setTimeout(() => { rmSync(profile, { recursive: true, force: true }); process.exit(code); }, 200);
}

const server = createServer((request, response) => {
  const path = normalize(decodeURIComponent(new URL(request.url, "http://localhost").pathname));
  if (request.method === "POST") {
    let text = "";
    request.on("data", (part) => { text += part; });
    request.on("end", () => { response.end(); finish(text, 0); });
    return;
  }
  const file = path.startsWith("/files/") ? files[Number(path.slice(7))] : join(root, path);
  if (!file || !existsSync(file)) { response.writeHead(404).end(); return; }
  response.writeHead(200, { "Content-Type": types[extname(file)] ?? "application/octet-stream" });
  createReadStream(file).pipe(response);
});

server.listen(0, "127.0.0.1", () => {
  const url = `http://127.0.0.1:${server.address().port}/page.html?scenario=${scenario}`;
  const flags = ["--headless=new", "--no-sandbox", "--disable-gpu-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader",
    "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking", `--user-data-dir=${profile}`];
  browser = spawn(chromium, [...flags, url], { stdio: ["ignore", "ignore", "pipe"] });
  let complaints = "";
  browser.stderr.on("data", (part) => { complaints = (complaints + part).slice(-2000); });
  browser.on("exit", () => finish(JSON.stringify({ error: `the browser ended: ${complaints}` }), 1));
  setTimeout(() => finish(JSON.stringify({ error: `the page did not report in time: ${complaints}` }), 1), 120000);
});
