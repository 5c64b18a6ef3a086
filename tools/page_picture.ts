/**
 * Draws docs/page.png: the page of a recording, as Chromium shows it.
 *
 * @module
 */

import { Browser } from "../tests/support/browser.ts";
import { madeTraffic } from "../tests/support/made_traffic.ts";
import { makePlace } from "../tests/support/place.ts";
import { runQmpmux } from "../tests/support/qmpmux.ts";

const PICTURE = new URL("../docs/page.png", import.meta.url);

/** Searches for a snapshot, which makes others wait. */
const SEARCH = `
  document.getElementById("query").value = "blockdev-snapshot";
  document.getElementById("query").dispatchEvent(new Event("input"));
`;

/** Opens its details, brings the time around it into view, and ends the search. */
const SCENE = `
  document.querySelector("#rows .row").click();
  document.getElementById("query").value = "";
  document.getElementById("query").dispatchEvent(new Event("input"));
  for (let i = 0; i < 5; i++) document.getElementById("in").click();
`;

using place = makePlace();
const [input, output] = [`${place.path}/recording.jsonl`, `${place.path}/page.html`];
Deno.writeTextFileSync(input, madeTraffic(600, 3).text);
const { code, stderr } = await runQmpmux(["show", input, "--html", output]);
if (code !== 0) throw new Error(stderr);
await using browser = await Browser.start();
await browser.open(output, { width: 1280, height: 800 });
await browser.evaluate(SEARCH);
await browser.until("/match/.test(document.getElementById('count').textContent)");
await browser.painted();
await browser.evaluate(SCENE);
await browser.until("!/match/.test(document.getElementById('count').textContent)");
await browser.painted();
Deno.writeFileSync(PICTURE, await browser.picture());
