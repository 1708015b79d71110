// Uses the page as a person would, and prints what happened: node web.mjs CHROMIUM URL PHOTO WIDTH HEIGHT THEME
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const [browserPath, base, photo, width, height, theme] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const report = { violations: [], outside: [], errors: [], weight: 0, steps: [] };
const args = ["--no-sandbox", "--disable-gpu-sandbox", "--enable-unsafe-swiftshader", "--use-angle=swiftshader", "--disable-dev-shm-usage"];
const browser = await chromium.launch({ executablePath: browserPath, args });
try {
  const context = await browser.newContext({ viewport: { width: Number(width), height: Number(height) }, colorScheme: theme, acceptDownloads: true, bypassCSP: true, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(120000);
  page.on("pageerror", (error) => report.errors.push(String(error)));
  page.on("console", (message) => { if (message.type() === "error") report.errors.push(message.text()); });
  page.on("request", (request) => { if (!/^(blob|data):/.test(request.url()) && !request.url().startsWith(base)) report.outside.push(request.url()); });
  page.on("response", async (response) => {
    if (response.url().includes("/page/") || response.url() === `${base}/`) report.weight += (await response.body().catch(() => Buffer.alloc(0))).length;
  });

  const look = async (where) => {
    await page.evaluate(axe);
    const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
    for (const v of found.violations) {
      if (["serious", "critical"].includes(v.impact)) report.violations.push(`${where}: ${v.id}: ${v.nodes.slice(0, 2).map((n) => n.html.slice(0, 140)).join(" | ")}`);
    }
    report.steps.push(where);
  };

  await page.goto(base);
  await page.waitForSelector(".drop");
  await look("home");
  await page.setInputFiles("#photo", photo);
  await page.waitForSelector(".choices");
  await look("chosen");
  await page.check("input[value=fast]");
  await page.click("button[type=submit]");
  await page.waitForSelector(".stages");
  await look("progress");
  await page.waitForSelector(".looks");
  const id = new URL(page.url()).hash.split("/")[2];
  const state = async () => (await page.evaluate((i) => fetch(`/v1/avatars/${i}`).then((r) => r.json()), id));
  report.options = (await state()).options;
  report.triangles = await page.locator(".facts div:last-child dd").textContent();
  for (const tab of ["about", "move", "face", "correct", "files"]) {
    await page.locator(`#tab-${tab}`).focus();
    await page.keyboard.press("Enter");
    await page.waitForSelector(`#panel-${tab}:not([hidden])`);
    await look(tab);
  }
  await page.locator("#tab-files").focus();
  await page.keyboard.press("ArrowRight");
  report.wrapped = await page.evaluate(() => document.activeElement.id);
  await page.click(".looks label:has(input[value=clay])");
  await page.click("#tab-move");
  await page.check("input[value=walk]");

  await page.click("#tab-correct");
  await page.click(".tool >> nth=0 >> button:visible");
  const canvas = page.locator("canvas.paint");
  await canvas.waitFor();
  await look("mask");
  await canvas.scrollIntoViewIfNeeded();
  const box = await canvas.boundingBox();
  await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.3);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.5, { steps: 4 });
  await page.mouse.up();
  await canvas.focus();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Space");
  await page.click(".editor button[value=use]");
  await page.click(".tool >> nth=1 >> button:visible");
  await page.locator(".mark").first().focus();
  await page.keyboard.press("ArrowRight");
  await look("landmarks");
  await page.click(".editor button[value=use]");
  await page.uncheck(".correct input[name=hair]");
  await page.click(".correct button[type=submit]");
  for (let now = await state(); now.version !== 2 || now.state !== "done"; now = await state()) await page.waitForTimeout(300);
  await page.waitForSelector(".looks");
  report.corrected = (await state()).corrected;
  report.without = (await state()).options.without;

  await page.click("#tab-files");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click(".files a >> nth=0")]);
  report.download = [download.suggestedFilename(), readFileSync(await download.path()).subarray(0, 4).toString()];
  await page.goto(`${base}/#/gallery`);
  await page.waitForSelector(".tile");
  await look("gallery");
  report.sideways = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  await page.click(".tile");
  await page.waitForSelector("#panel-about .danger-text");
  await page.click("#panel-about .danger-text");
  await look("sure");
  await page.click("dialog button[value=yes]");
  await page.waitForSelector(".drop");
  report.left = (await page.evaluate(() => fetch("/v1/avatars").then((r) => r.json()))).avatars.length;
} catch (error) {
  report.error = String(error?.stack ?? error);
}
await browser.close();
process.stdout.write(JSON.stringify(report) + "\n");
