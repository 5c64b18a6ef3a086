/**
 * A recording of traffic as a VM has it: monitoring, a backup, people, scripts, and mistakes.
 *
 * @module
 */

import { MadeRecording } from "./made_recording.ts";
import { Random } from "./random.ts";

/** A kind of command: how long it runs in seconds, how it is written, and its reply. */
interface Kind {
  readonly name: string;
  readonly run: number;
  readonly args?: string;
  readonly reply?: string;
  /** Whether qmpmux answers it. */
  readonly isOwn?: boolean;
  readonly oob?: boolean;
}

/** A program that connects, with the commands that it sends. */
interface Program {
  readonly listener: string;
  readonly comm: string;
  readonly role: string;
  /** The pause between its commands in seconds. */
  readonly pause: number;
  /** The commands that it sends at once. */
  readonly burst: number;
  /** The seconds that it stays connected; it connects again later. */
  readonly stays: number;
  readonly kinds: readonly Kind[];
}

const STATUS = '"return": {"status": "running", "singlestep": false, "running": true}';
const BLOCKS = `"return": [${
  Array.from({ length: 6 }, (_, disk) =>
    `{"device": "drive${disk}", "node-name": "node${disk}", "stats": {"rd_bytes": 18446744073709${disk}, ` +
    `"wr_bytes": 90071992547409${disk}, "rd_operations": 12345${disk}, "wr_operations": 6789${disk}, ` +
    `"flush_operations": 42, "failed_rd_operations": 0, "idle_time_ns": 1234567890}}`).join(", ")
}]`;

function failing(errorClass: string, desc: string): string {
  return `"error": {"class": "${errorClass}", "desc": ${JSON.stringify(desc)}}`;
}

const PROGRAMS: readonly Program[] = [
  {
    listener: "metrics",
    comm: "exporter",
    role: "observer",
    pause: 1,
    burst: 3,
    stays: Infinity,
    kinds: [
      { name: "query-status", run: 0.0003, reply: STATUS },
      { name: "query-blockstats", run: 0.0021, reply: BLOCKS },
      {
        name: "query-balloon",
        run: 0.0004,
        reply: failing("DeviceNotActive", "No balloon device has been activated"),
      },
    ],
  },
  {
    listener: "backup",
    comm: "backupd",
    role: "backup",
    pause: 0.5,
    burst: 1,
    stays: Infinity,
    kinds: [
      {
        name: "query-jobs",
        run: 0.0006,
        reply:
          '"return": [{"id": "backup0", "type": "backup", "status": "running", "current-progress": 1048576}]',
      },
      { name: "job-dismiss", args: '{"id": "backup0"}', run: 0.0004 },
      {
        name: "blockdev-snapshot-sync",
        args:
          '{"device": "drive0", "snapshot-file": "/backup/größe-2026.qcow2", "format": "qcow2"}',
        run: 0.35,
      },
    ],
  },
  {
    listener: "ops",
    comm: "virsh",
    role: "operator",
    pause: 3,
    burst: 1,
    stays: 20,
    kinds: [
      { name: "stop", run: 0.0009 },
      { name: "cont", run: 0.0007 },
      {
        name: "device_del",
        args: '{"id": "net9"}',
        run: 0.0002,
        reply: failing("DeviceNotFound", "Device 'net9' not found"),
      },
      {
        name: "human-monitor-command",
        args: '{"command-line": "info registers"}',
        run: 0.0001,
        isOwn: true,
        reply: failing(
          "CommandNotFound",
          "The command human-monitor-command has been refused: role operator, rule 3: deny human-monitor-command",
        ),
      },
      {
        name: "migrate-set-parameters",
        args: '{"max-bandwidth": 9223372036854775807}',
        run: 0.0012,
      },
    ],
  },
  {
    listener: "mux",
    comm: "socat",
    role: "full",
    pause: 0.4,
    burst: 4,
    stays: 6,
    kinds: [
      {
        name: "query-version",
        run: 0,
        isOwn: true,
        reply: '"return": {"qemu": {"micro": 22, "minor": 2, "major": 7}}',
      },
      {
        name: "query-cpus-fast",
        run: 0.0008,
        reply: '"return": [{"cpu-index": 0, "thread-id": 4242}]',
      },
      { name: "query-yank", run: 0.0001, oob: true, reply: '"return": []' },
      {
        name: "device_add",
        args: '{"driver": "virtio-net-pci", "id": "net1", "netdev": "n1"}',
        run: 0.004,
      },
      {
        name: "nonsense",
        run: 0.0001,
        reply: failing("CommandNotFound", "The command nonsense has not been found"),
      },
    ],
  },
];

const EVENTS: readonly (readonly [name: string, data?: string])[] = [
  ["JOB_STATUS_CHANGE", '{"status": "running", "id": "backup0"}'],
  [
    "BLOCK_JOB_COMPLETED",
    '{"device": "backup0", "len": 4294967296, "offset": 4294967296, "speed": 0, "type": "backup"}',
  ],
  ["RTC_CHANGE", '{"offset": 78}'],
  ["NIC_RX_FILTER_CHANGED", '{"name": "net1", "path": "/machine/peripheral/net1/virtio-backend"}'],
  ["STOP"],
  ["RESUME"],
];

/** A command of a client. */
interface Arrival {
  readonly client: string;
  readonly t: number;
  readonly kind: Kind;
}

/** Something that is written at a time. */
interface Step {
  readonly t: number;
  readonly write: () => void;
}

/**
 * Makes a recording.
 *
 * @param messages the least number of commands and events
 */
export function madeTraffic(messages: number, seed = 1): MadeRecording {
  const random = new Random(seed);
  const made = new MadeRecording();
  const steps: Step[] = [];
  const at = (t: number, write: () => void): void => {
    steps.push({ t, write });
  };
  const connected = new Set<string>();
  let [number, free, told] = [0, 0, 0];
  /** Returns a time around a mean, now and then a much longer one. */
  const around = (mean: number): number =>
    mean * (0.5 + random.below(1000) / 1000) * (random.oneIn(60) ? 20 : 1);
  const arrivals: Arrival[] = [];
  const answer = ({ client, t, kind }: Arrival, id: number): void => {
    const { name, args, reply = '"return": {}', isOwn, oob } = kind;
    const execute = oob ? "exec-oob" : "execute";
    const rest = args === undefined ? "" : `,"arguments":${args}`;
    let command = 0;
    at(t, () => command = made.command(client, t, `{"${execute}":"${name}"${rest},"id":${id}}`));
    if (random.oneIn(4000)) return;
    const run = around(kind.run);
    if (isOwn) {
      at(t + 1e-5, () => made.reply(client, t + 1e-5, command, `{${reply}}`));
      return;
    }
    const starts = oob ? t + 2e-5 : Math.max(t + 2e-5, free);
    if (!oob) free = starts + run;
    let sent = 0;
    at(starts, () => sent = made.toQemu(starts, `{"${execute}":"${name}"${rest}}`, [command]));
    const end = starts + run;
    at(end, () => {
      made.fromQemu(end, sent, `{${reply}}`);
      made.reply(client, end, command, `{${reply}}`, { wait: starts - t, run });
    });
  };
  /** Returns a kind of command, seldom one that fails or takes long. */
  const kindOf = (kinds: readonly Kind[]): Kind => {
    const kind = random.pick(kinds);
    const isRare = kind.reply?.includes('"error"') || kind.run > 0.1;
    return isRare && !random.oneIn(8) ? kinds[0]! : kind;
  };
  /** Lets a program connect, work, and disconnect; returns the time of its end. */
  const live = (program: Program, begin: number, end: number): number => {
    const { listener, comm, role, pause, burst, stays, kinds } = program;
    const isNew = stays < Infinity || begin < 30;
    if (isNew) number++;
    const client = stays < Infinity ? `${listener}/${number}` : `${listener}/0`;
    const peer = { pid: 4000 + number, uid: 1000, gid: 1000, comm };
    const until = Math.min(begin + stays * (0.5 + random.below(100) / 100), end);
    if (isNew) {
      at(begin, () => {
        made.connect(client, begin, { listener, role, dialect: "qmp", mode: "negotiating", peer });
        connected.add(client);
      });
    }
    for (let t = begin + 0.01; t < until - 0.2; t += around(pause)) {
      for (let each = 0; each < burst; each++) {
        told++;
        arrivals.push({ client, t: t + each * 3e-5, kind: kindOf(kinds) });
      }
    }
    if (stays === Infinity) return end;
    at(until, () => {
      connected.delete(client);
      made.disconnect(client, until, "left");
    });
    return until;
  };
  for (let begin = 0; told < messages; begin += 30) {
    for (const program of PROGRAMS) {
      for (let t = begin + random.below(100) / 50; t < begin + 28;) {
        t = live(program, t, begin + 30) + random.below(300) / 100;
      }
    }
    for (let t = begin + 0.5; t < begin + 30; t += around(0.8)) {
      told++;
      const [name, data] = random.pick(EVENTS);
      at(t, () => made.event(t, name, data, [...connected].slice(0, 3)));
    }
    const reason = "JSON parse error, expecting value";
    at(begin + 17, () => {
      const damage = {
        t: begin + 17,
        side: "client",
        client: "backup/0",
        dir: ">",
        kind: "damage",
      };
      made.add({ ...damage, length: 23, reason });
    });
    at(begin + 29.9, () => made.add({ t: begin + 29.9, dropped: 12 }));
  }
  arrivals.sort((one, other) => one.t - other.t);
  arrivals.forEach((arrival, index) => answer(arrival, index + 1));
  steps.sort((one, other) => one.t - other.t);
  steps.forEach(({ write }) => write());
  return made;
}
