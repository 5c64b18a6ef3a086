/**
 * Configuration files with one fault in a known line, in all the forms that TOML allows.
 *
 * @module
 */

import type { Random } from "./random.ts";

/** A file, and the position of its only fault; `line` is undefined if it has none. */
export interface Made {
  readonly text: string;
  readonly line?: number;
}

/** Lines of the top level: valid and invalid. */
const TOP: readonly (readonly [right: string, wrong: string])[] = [
  ["once = true", 'once = "yes"'],
  ['ready = "qemu"', "ready = 1"],
  ["greeting-timeout = 2.5", "greeting-timeout = 0"],
  ["drain-timeout = 1", 'drain-timeout = "soon"'],
  ['on-loss = "hold"', 'on-loss = "wait"'],
  ["max-clients = 10", "max-clients = 0"],
  ['log-format = "json"', 'log-format = "xml"'],
  ['audit = "/var/log/a"', "audit = true"],
  ['"watchdog" = "qemu"', '"watchdog" = "cat"'],
  ["stall-timeout = 1", "stall = 1"],
  ["handshake-timeout = 1", "'hand shake' = 1"],
  ["audit-all = false", "audit-all = 0"],
];

/** Lines of a listener. */
const LISTEN: readonly (readonly [right: string, wrong: string])[] = [
  ['role = "observer"', 'role = "nobody"'],
  ['mode = "0660"', 'mode = "999"'],
  ['dialect = "rfc2010"', 'dialect = "qmp2"'],
  ["cache = false", 'cache = "maybe"'],
  ['events = ["STOP",\n  "RES*", # [\n]', 'events = ["ST OP"]'],
  ["max-clients = 5", "max-clients = -5"],
  ['rate = "off"', 'rate = "[["'],
  ["join = true", "joins = true"],
];

/** Lines of a VM's table. */
const VM: readonly (readonly [right: string, wrong: string])[] = [
  ['qemu = "unix:/other/{vm}/qmp"', 'qemu = "unix:{vm}/{vm}"'],
  ['on-loss = "close"', 'on-loss = "[[vm]]"'],
  ['"max-message" = "2M"', 'max-message = "2"'],
  ["deadline = { '*' = 7 }", "deadline = { '*' = -7 }"],
  ["stall-timeout = 3", "max-clients = 3"],
];

/** The settings that are for one VM only. */
const OF_ONE = /once|watchdog/;

/** Whole roles; the invalid ones with the line of the fault, counted from their first. */
const ROLE: readonly (readonly [right: string, wrong: string, at: number])[] = [
  [
    'rules = [\n  { allow = "query-*" }, # ]\n]',
    'rules = [ # {\n  { allow = "[{", only = { a = "]" } },\n  { permit = "query-*" },\n]',
    2,
  ],
  [
    'rules = [{ refuse = "*", because = """\nsome\n[[listen]]\nonce = true\nonce = true\n""" }]',
    'rules = [{ refuse = "*", because = """\n[[listen]]\naddress = 1\n""", allow = "x" }]',
    0,
  ],
  [
    '[[role.rules]]\nrefuse = "*"\nbecause = """\n[[listen]]\n[[listen]]\nonce = true\nonce = true"""',
    "[[role.rules]]\nrefuse = '*'\nbecause = '''\n[[listen]]\nallow = 1\n'''\nallow = 'x'",
    0,
  ],
  ["rules = []\nadministers = false", "rules = []\nadministers = 1", 1],
  ['rules = []\nevents = ["A*"]', "rules = []\nevents = [1]", 1],
];

const NOISE = ["", "# once = 5", "  # [[listen]]", "\t", "# it's [ \" {", "# '''", '# """'];

/** Generates random files. */
export class FaultyFile {
  readonly #random: Random;
  #lines: string[] = [];
  #fault: number | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns a file with one fault, or without any. */
  made(): Made {
    const random = this.#random;
    this.#lines = [];
    this.#fault = undefined;
    /** The number of places before the one for the fault. */
    let left = random.oneIn(5) ? Infinity : random.below(12);
    const wrong = (): boolean => left-- === 0;
    const isForMany = random.oneIn(3);
    this.#line(isForMany ? 'qemu = "unix:/run/{vm}/qmp"' : 'qemu = "unix:/run/vm"', false);
    const top = TOP.filter(([right]) => !isForMany || !OF_ONE.test(right));
    for (const pair of this.#some(top)) this.#pair(pair, wrong());
    let tables = 0;
    while (tables < 5 && (tables < 1 || !random.oneIn(3))) {
      tables++;
      if (isForMany && random.oneIn(2)) this.#vm(tables, wrong);
      else if (random.oneIn(2)) {
        this.#listener("listen", isForMany ? "mux/{vm}" : "run", tables, wrong);
      } else this.#role(tables, wrong);
    }
    // Without a listener of the top level, a VM that has none is a fault of its own.
    if (isForMany) this.#listener("listen", "last/{vm}", tables + 1, wrong);
    if (random.oneIn(3)) this.#deadline(wrong());
    if (random.oneIn(20)) this.#syntax();
    const end = random.oneIn(4) ? "\r\n" : "\n";
    const text = `${this.#lines.join("\n").split("\n").join(end)}${end}`;
    return this.#fault === undefined ? { text } : { text, line: this.#fault };
  }

  /** Returns a file with some characters changed, removed or doubled. */
  damaged(): string {
    const random = this.#random;
    let { text } = this.made();
    for (let i = random.below(4); i >= 0; i--) {
      const at = random.below(text.length);
      const put = random.pick([
        '"',
        "'",
        "[",
        "]",
        "{",
        "}",
        "=",
        "\n",
        "#",
        ".",
        "__proto__",
        "\\",
      ]);
      text = text.slice(0, at) + put + text.slice(at + random.below(4));
    }
    return text;
  }

  #vm(number: number, wrong: () => boolean): void {
    this.#line(this.#random.pick(["[[vm]]", "[[ 'vm' ]] # [vm]"]), false);
    const isWrong = wrong();
    this.#line(isWrong ? `name = "a/${number}"` : `name = "a${number}"`, isWrong);
    for (const pair of this.#some(VM)) this.#pair(pair, wrong());
    if (this.#random.oneIn(2)) this.#listener("vm.listen", "own/{vm}", number, wrong);
  }

  #listener(table: string, place: string, number: number, wrong: () => boolean): void {
    this.#line(
      this.#random.pick([
        `[[${table}]]`,
        `[[ ${table} ]]`,
        `[["${table.replaceAll(".", '"."')}"]] # x`,
      ]),
      false,
    );
    this.#line(`address = "unix:/${place}/${number}"`, false);
    for (const pair of this.#some(LISTEN)) this.#pair(pair, wrong());
  }

  #role(number: number, wrong: () => boolean): void {
    const isWrong = wrong();
    const [right, bad, at] = this.#random.pick(ROLE);
    this.#line("[[role]]", false);
    this.#line(`name = "r${number}"`, false);
    this.#line(isWrong ? bad : right, isWrong);
    if (isWrong) this.#fault! += at;
  }

  /** Adds a table, whose faults are reported at its header, or dotted keys. */
  #deadline(wrong: boolean): void {
    this.#line("[deadline]", wrong);
    this.#line(wrong ? "migrate = 0" : "migrate = 5", false);
    this.#line('"query-*" = 1', false);
  }

  /** Inserts a syntax error, which hides every other fault. */
  #syntax(): void {
    this.#fault = undefined;
    this.#line(this.#random.pick(["once", "= 1", "x = ", "x = [1", 'x = "a']), false);
    this.#lines = ["once = true", "x = ", this.#random.pick(NOISE)];
    this.#fault = 2;
  }

  #pair([right, bad]: readonly [string, string], wrong: boolean): void {
    this.#line(wrong ? bad : right, wrong);
  }

  #line(text: string, isFault: boolean): void {
    while (this.#random.oneIn(4)) this.#lines.push(this.#random.pick(NOISE));
    if (isFault) this.#fault = this.#lines.join("\n").split("\n").length + 1;
    if (isFault && this.#lines.length === 0) this.#fault = 1;
    this.#lines.push(this.#random.oneIn(8) ? `${text} # ${text.replaceAll("\n", " ")}` : text);
  }

  /** Returns some of the items, in order. */
  #some<T>(things: readonly T[]): T[] {
    return things.filter(() => this.#random.oneIn(3));
  }
}
