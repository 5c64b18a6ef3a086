/**
 * A headless Chromium that tests drive by its DevTools protocol.
 *
 * @module
 */

import { within } from "./deadline.ts";
import { makePlace } from "./place.ts";
import { Lines } from "./lines.ts";

/** Whether to skip tests that need Chromium. */
export const WITHOUT_CHROMIUM: boolean = (Deno.env.get("QMPMUX_TESTS_WITHOUT") ?? "").split(",")
  .includes("chromium");

/** A message of the browser. */
interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>>;
  readonly error?: { readonly message: string };
}

/** The look of a page. */
export interface Look {
  readonly width?: number;
  readonly height?: number;
  readonly scheme?: "light" | "dark";
}

/** The modifiers of a key, by their bits in the protocol. */
const SHIFT = 8;

/** A browser with one page. */
export class Browser implements AsyncDisposable {
  /** The addresses that the page has asked for. */
  readonly requests: string[] = [];
  /** The errors of the page, and the violations of its policy. */
  readonly problems: string[] = [];
  readonly #child: Deno.ChildProcess;
  readonly #place: Disposable;
  readonly #socket: WebSocket;
  readonly #log: Lines;
  readonly #waiting = new Map<number, (message: Message) => void>();
  #session: string | undefined;
  #loaded: () => void = () => {};
  #last = 0;

  private constructor(
    child: Deno.ChildProcess,
    place: Disposable,
    socket: WebSocket,
    log: Lines,
  ) {
    this.#child = child;
    this.#place = place;
    this.#socket = socket;
    this.#log = log;
    socket.onmessage = ({ data }) => this.#heard(JSON.parse(data));
  }

  /** Starts a browser with an empty page. */
  static async start(): Promise<Browser> {
    const place = makePlace();
    const child = new Deno.Command("chromium", {
      args: [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--disable-background-networking",
        "--remote-debugging-port=0",
        `--user-data-dir=${place.path}/profile`,
        "about:blank",
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const log = new Lines(child.stderr);
    const line = await log.until(/DevTools listening on ws:/);
    const socket = new WebSocket(/ws:\S+/.exec(line)![0]);
    await within("Chromium to accept", new Promise((opened) => socket.onopen = opened));
    const browser = new Browser(child, place, socket, log);
    await browser.#attach();
    return browser;
  }

  async #attach(): Promise<void> {
    const { targetId } = await this.#call("Target.createTarget", { url: "about:blank" });
    const attached = await this.#call("Target.attachToTarget", { targetId, flatten: true });
    this.#session = attached["sessionId"] as string;
    for (const domain of ["Page", "Runtime", "Log", "Network"]) {
      await this.#call(`${domain}.enable`);
    }
  }

  /** Opens a file; resolves when its programs have run. */
  async open(
    path: string,
    { width = 1280, height = 800, scheme = "light" }: Look = {},
  ): Promise<void> {
    const size = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.#call("Emulation.setDeviceMetricsOverride", size);
    await this.setScheme(scheme);
    this.requests.length = this.problems.length = 0;
    const loaded = new Promise<void>((resolve) => this.#loaded = resolve);
    await this.#call("Page.navigate", { url: `file://${path}` });
    await within("the page to load", loaded);
    await this.painted();
  }

  /** Changes the colour scheme that the user prefers. */
  async setScheme(scheme: "light" | "dark"): Promise<void> {
    const features = [{ name: "prefers-color-scheme", value: scheme }];
    await this.#call("Emulation.setEmulatedMedia", { features });
  }

  /** Returns the seconds of processor time that the page's main thread has used. */
  async cpuTime(): Promise<number> {
    await this.#call("Performance.enable", { timeDomain: "threadTicks" });
    const { metrics } = await this.#call("Performance.getMetrics");
    return (metrics as { name: string; value: number }[])
      .find(({ name }) => name === "TaskDuration")!.value;
  }

  /** Evaluates an expression in the page; returns its value. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.#call("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (answer["exceptionDetails"]) throw new Error(JSON.stringify(answer["exceptionDetails"]));
    return (answer["result"] as { value?: unknown }).value;
  }

  /** Resolves when an expression is true at the end of a frame of the page. */
  async until(expression: string): Promise<void> {
    await within(
      `the page to meet ${expression}`,
      this.evaluate(`new Promise((met) => {
        const look = () => (${expression}) ? met(true) : requestAnimationFrame(look);
        look();
      })`),
    );
  }

  /** Resolves when the page has painted what it was about to paint. */
  async painted(): Promise<void> {
    await this.evaluate(
      "new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(() => painted(1))))",
    );
  }

  /** Presses a key. */
  async press(key: string): Promise<void> {
    const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
    const modifiers = /^[A-Z?]$/.test(key) ? SHIFT : 0;
    const down = { type: "keyDown", key, modifiers, ...text !== undefined && { text } };
    await this.#call("Input.dispatchKeyEvent", down);
    await this.#call("Input.dispatchKeyEvent", { type: "keyUp", key, modifiers });
    await this.painted();
  }

  /** Types a text. */
  async type(text: string): Promise<void> {
    await this.#call("Input.insertText", { text });
  }

  /** Moves the mouse, and presses its button unless the kind is another. */
  async mouse(x: number, y: number, kind: "click" | "move" = "click"): Promise<void> {
    await this.#call("Input.dispatchMouseEvent", { type: "mouseMoved", x, y });
    if (kind === "click") {
      const button = { x, y, button: "left", clickCount: 1 };
      await this.#call("Input.dispatchMouseEvent", { type: "mousePressed", ...button });
      await this.#call("Input.dispatchMouseEvent", { type: "mouseReleased", ...button });
    }
    await this.painted();
  }

  /** Turns the wheel of the mouse. */
  async wheel(x: number, y: number, deltaY: number, deltaX = 0): Promise<void> {
    await this.#call("Input.dispatchMouseEvent", { type: "mouseWheel", x, y, deltaX, deltaY });
    await this.painted();
  }

  /** Takes a picture of the page, as PNG. */
  async picture(): Promise<Uint8Array<ArrayBuffer>> {
    const { data } = await this.#call("Page.captureScreenshot", { format: "png" });
    return Uint8Array.fromBase64(data as string);
  }

  async #call(method: string, params = {}): Promise<Readonly<Record<string, unknown>>> {
    const id = ++this.#last;
    const answer = new Promise<Message>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params, sessionId: this.#session }));
    const { result, error } = await within(method, answer);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  #heard({ id, method, params = {}, ...message }: Message): void {
    if (id !== undefined) {
      this.#waiting.get(id)?.({ id, ...message });
      this.#waiting.delete(id);
    } else if (method === "Page.loadEventFired") this.#loaded();
    else if (method === "Network.requestWillBeSent") {
      this.requests.push((params["request"] as { url: string }).url);
    } else if (
      method === "Runtime.exceptionThrown" || method === "Log.entryAdded" ||
      method === "Runtime.consoleAPICalled"
    ) {
      this.problems.push(JSON.stringify(params));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.#session = undefined;
    await this.#call("Browser.close");
    await within("Chromium to close", closed);
    await within("Chromium to end", this.#child.status);
    await this.#log.rest();
    this.#place[Symbol.dispose]();
  }
}
