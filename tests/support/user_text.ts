/**
 * Random text from users: addresses, options, command lines, arguments; valid, invalid and odd.
 *
 * @module
 */

import type { Random } from "./random.ts";

const WORDS = [
  ..."unix: unix:/ / ./ ../ unix-abstract: tcp: fd: @ : , = + - -- ; # . * ? ** [ ] { } ( )".split(
    " ",
  ),
  ..."/run/vm.sock /run/a,b /tmp/x:1 localhost 127.0.0.1 0.0.0.0 [::1] [::] [fe80::1%eth0]".split(
    " ",
  ),
  ...":4444 :0 :65535 :65536 :99999999999999999999 127.0.0.256 127.1 LOCALHOST vm mux.sock"
    .split(" "),
  ..."server=on wait=off server=off name= role= full observer operator admin nobody".split(" "),
  ..."dialect= qmp rfc2010 events= STOP RES* mode= 0600 666 0777 9999 07 user= group= root kvm"
    .split(" "),
  ..."identity= fds= allow= role-for= alice:observer @kvm:operator user-rate= allow-remote="
    .split(" "),
  ..."cache= join= on off true false max-clients= max-command= 64K 1M 1G 64G rate= idle= 0 1 0.01"
    .split(" "),
  ..."1e3 -1 NaN Infinity inf 0x10 1.5 18446744073709551616 null none".split(" "),
  ..."__proto__ constructor prototype toString hasOwnProperty length".split(" "),
  ..."--qemu --listen --config --metrics --audit --help -h -- journal stderr".split(" "),
  ..."{vm} /{vm} /run/{vm}/a.sock {vm}/{vm} {v vm} {{vm}} directory-mode= max-vms= --vm".split(" "),
  ..."a 1 _ ' \" \\ ` $ % & | < > ~ ! ^ é € 😀 \u0085 \u2028 \u202e \ufeff \u00a0 \u007f".split(
    " ",
  ),
  ...["\0", "\n", "\r\n", "\t", " ", "\x1b[31m", "\x9b", "\ud800", "\udc00", "\u0130", "ß"],
];

const ADDRESSES = [
  ..."unix:/run/vm.sock /run/vm.sock ./vm.sock unix:vm unix-abstract:vm fd:mux".split(" "),
  ..."tcp:localhost:4444 localhost:4444 127.0.0.1:0 :4444 tcp::1 [::1]:4444 0.0.0.0:4444".split(
    " ",
  ),
  ..."/run/{vm}/qmp.sock /run/{vm}.sock unix-abstract:{vm} fd:{vm} /run/mux/{vm}/{vm}".split(" "),
  ..."tcp:[fe80::1%eth0]:4444 unix:/run/vm,server=on,wait=off tcp:tcp:1".split(" "),
];

const OPTIONS = [
  ..."name=a role=observer role=operator role=admin dialect=rfc2010 events=STOP+RES* events=".split(
    " ",
  ),
  ..."mode=0660 mode=007 mode=060 user=root group=0 allow-remote=on cache=off join=off".split(" "),
  ..."max-clients=1 max-command=64K max-waiting=1M read-ahead=4096 slow-unread=4K slow-time=1.5"
    .split(" "),
  ..."max-unread=1G rate=0.01 rate=off idle=30 server=on wait=off".split(" "),
  ..."directory-mode=0750 directory-mode=9 name={vm} name=a-{vm}".split(" "),
  ..."identity=on fds=on allow=root+@kvm role-for=alice:observer+@kvm:operator".split(" "),
];

/** Generates random texts. */
export class UserText {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns an address, or something similar. */
  address(): string {
    return this.#bent(this.#random.pick(ADDRESSES));
  }

  /** Returns a listener with options, or something similar. */
  listener(): string {
    const random = this.#random;
    const parts = [random.pick(ADDRESSES)];
    for (let i = random.below(4); i > 0; i--) parts.push(random.pick(OPTIONS));
    return this.#bent(parts.join(","));
  }

  /** Returns the words after a subcommand; `flags` are those it has. */
  commandLine(flags: readonly string[]): string[] {
    const random = this.#random;
    const words: string[] = [];
    for (let i = random.below(6); i > 0; i--) {
      const flag = random.oneIn(8) ? this.text() : `--${random.pick(flags)}`;
      const value = random.pick([
        () => this.address(),
        () => this.listener(),
        () => this.text(),
        () => random.pick(["1", "0.5", "on", "off", "refuse", "text", "hold", "qemu", "listening"]),
      ]);
      if (random.oneIn(4)) words.push(random.oneIn(2) ? `${flag}=${value()}` : flag);
      else words.push(flag, value());
      if (random.oneIn(6)) words.push(this.argument());
    }
    return words;
  }

  /** Returns `key=value`, JSON, or something similar. */
  argument(): string {
    const random = this.#random;
    const key = (): string => random.pick(["a", "b", "a.b", "a.b.c", "", ".", "__proto__", "a..b"]);
    const value = (): string =>
      random.pick(["1", '"x"', "x", "{}", "[1]", "1e400", "01", "", "null", '{"a":', "\0"]);
    return this.#bent(random.oneIn(5) ? `{"${key()}":${value()}}` : `${key()}=${value()}`);
  }

  /** Returns some words and characters. */
  text(): string {
    let text = "";
    for (let i = this.#random.below(5); i >= 0; i--) text += this.#random.pick(WORDS);
    return text;
  }

  /**
   * Returns the text, or the text with something changed, removed, doubled or inserted; sometimes
   * very long.
   */
  #bent(text: string): string {
    const random = this.#random;
    if (random.oneIn(4)) return text;
    for (let i = random.below(3); i >= 0; i--) {
      const at = random.below(text.length + 1);
      const to = Math.min(text.length, at + 1 + random.below(4));
      const [before, part, after] = [text.slice(0, at), text.slice(at, to), text.slice(to)];
      text = random.pick([
        () => before + random.pick(WORDS) + part + after,
        () => before + after,
        () => before + part + part + after,
        () => before + random.pick(WORDS) + after,
        () => before + "x".repeat(random.pick([40, 99, 105, 106, 107, 108, 300])) + part + after,
        () => before + String.fromCharCode(random.below(0x300)) + part + after,
      ])();
    }
    return text;
  }

  /** Returns a JSON value as text, at most `depth` deep. */
  json(depth: number): string {
    const random = this.#random;
    const many = (one: () => string): string =>
      Array.from({ length: random.below(4) }, one).join(",");
    const member = (): string => `${JSON.stringify(this.key())}:${this.json(depth - 1)}`;
    return random.pick<() => string>([
      () =>
        random.pick(["null", "true", "false", "0", "-1", "1.5", "1e400", "18446744073709551616"]),
      () => JSON.stringify(this.text().toWellFormed()),
      () => random.pick(['""', '"*"', '"STOP"', '"stage/1"', `"${"?".repeat(300)}"`]),
      ...depth > 0
        ? [() => `[${many(() => this.json(depth - 1))}]`, () => `{${distinct(many(member))}}`]
        : [],
    ])();
  }

  /** Returns the name of an argument, known or not. */
  key(): string {
    return this.#random.pick(["enable", "name", "foo", "1", "", "__proto__", "constructor", "é"]);
  }
}

/** Returns the members, or none if a name is repeated, which is not JSON to QEMU. */
function distinct(members: string): string {
  const names = [...members.matchAll(/(?:^|,)("(?:[^"\\]|\\.)*"):/g)].map(([, name]) => name);
  return new Set(names).size === names.length ? members : "";
}
