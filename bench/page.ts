/**
 * `deno task bench:page`: how smoothly pages of 10,000 and of 200,000 messages move in Chromium.
 *
 * For each action it prints the processor time of the page's main thread for a frame, the longest
 * task, and the time from frame to frame. A task of more than 50 ms is one that people notice.
 *
 * @module
 */

import { Browser } from "../tests/support/browser.ts";
import { madeTraffic } from "../tests/support/made_traffic.ts";
import { makePlace } from "../tests/support/place.ts";
import { runQmpmux } from "../tests/support/qmpmux.ts";

/** The frames of an action. */
const FRAMES = 180;

/** Programs for the page, each with `part`, which goes from 0 to 1, and the number of the frame. */
const ACTIONS: readonly (readonly [name: string, program: string])[] = [
  ["scroll the list slowly", "list.scrollTop = frame * 40"],
  ["scroll the list from end to end", "list.scrollTop = part * list.scrollHeight"],
  ["zoom in and out", "wheel(frame < 90 ? -60 : 60)"],
  ["move in time, zoomed in", "key(frame % 60 < 30 ? 'ArrowRight' : 'ArrowLeft')"],
  ["scroll the lanes", "lanes.scrollTop = part * lanes.scrollHeight"],
  ["search", "if (frame % 45 === 0) search(['snap', 'status', 'x y', ''][frame / 45])"],
];

const SETUP = `
  globalThis.list = document.getElementById("list");
  globalThis.lanes = document.getElementById("lanes");
  globalThis.key = (key) =>
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  globalThis.wheel = (deltaY) => lanes.querySelector("canvas").dispatchEvent(
    new WheelEvent("wheel", { deltaY, ctrlKey: true, bubbles: true, cancelable: true }),
  );
  globalThis.search = (text) => {
    const query = document.getElementById("query");
    query.value = text;
    query.dispatchEvent(new Event("input"));
  };
  globalThis.play = async (act, frames) => {
    const tasks = [];
    const observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) tasks.push(duration);
    });
    observer.observe({ type: "longtask" });
    const gaps = [];
    let last = await new Promise(requestAnimationFrame);
    for (let frame = 0; frame < frames; frame++) {
      act(frame / frames, frame);
      const now = await new Promise(requestAnimationFrame);
      gaps.push(now - last);
      last = now;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
    observer.disconnect();
    gaps.sort((a, b) => a - b);
    return [tasks.length, Math.max(0, ...tasks), gaps[frames >> 1], gaps[Math.floor(frames * 0.99)]];
  };
`;

async function measure(messages: number): Promise<void> {
  using place = makePlace();
  const [input, output] = [`${place.path}/recording.jsonl`, `${place.path}/page.html`];
  Deno.writeTextFileSync(input, madeTraffic(messages).text);
  const { code, stderr } = await runQmpmux(["show", input, "--html", output]);
  if (code !== 0) throw new Error(stderr);
  await using browser = await Browser.start();
  const before = performance.now();
  await browser.open(output, { width: 1440, height: 900 });
  const opened = Math.round(performance.now() - before);
  const size = (Deno.statSync(output).size / 1e6).toFixed(1);
  console.log(`\n${messages} messages, ${size} MB, opened in ${opened} ms`);
  console.log(
    "action                            CPU/frame  tasks > 50 ms  longest  frame p50   p99",
  );
  await browser.evaluate(SETUP);
  for (const [name, program] of ACTIONS) {
    const start = await browser.cpuTime();
    const played = browser.evaluate(`play((part, frame) => { ${program} }, ${FRAMES})`);
    const [tasks, longest, half, most] = await played as [number, number, number, number];
    const cpu = (await browser.cpuTime() - start) * 1000 / FRAMES;
    console.log([
      name.padEnd(33),
      `${cpu.toFixed(1)} ms`.padStart(9),
      String(tasks).padStart(14),
      `${longest.toFixed(0)} ms`.padStart(8),
      `${half.toFixed(1)}`.padStart(10),
      `${most.toFixed(1)}`.padStart(6),
    ].join(" "));
  }
}

for (const messages of [10_000, 200_000]) await measure(messages);
