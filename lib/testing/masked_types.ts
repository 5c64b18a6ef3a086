/**
 * The parts of QEMU's types that `query-qmp-schema` masks: the width of an integer, and the name of
 * an alternate. Errors show both.
 *
 * In the schema every integer is an `int`. The widths here are those of QEMU 5.2.0, 7.2.22, 8.2.2, 10.0.13
 * and 11.1.3 on x86-64, measured for each integer that an argument can have. An integer that is not in
 * the table is an `int64`, which QEMU has most.
 *
 * @module
 */

import type { Introspection, SchemaObject } from "../client/introspection.ts";

/** A type of integers. */
export type IntegerType =
  | "int16"
  | "int32"
  | "int64"
  | "uint8"
  | "uint16"
  | "uint32"
  | "uint64";

/** A version of QEMU: `[major, minor]`. */
export type Version = readonly [major: number, minor: number];

/** The least and the greatest value of each type. */
export const RANGES: Readonly<Record<IntegerType, readonly [least: bigint, greatest: bigint]>> = {
  int16: [-(1n << 15n), (1n << 15n) - 1n],
  int32: [-(1n << 31n), (1n << 31n) - 1n],
  int64: [-(1n << 63n), (1n << 63n) - 1n],
  uint8: [0n, (1n << 8n) - 1n],
  uint16: [0n, (1n << 16n) - 1n],
  uint32: [0n, (1n << 32n) - 1n],
  uint64: [0n, (1n << 64n) - 1n],
};

/**
 * The integers that are not `int64`, by type: `NAME`, or `NAME/OTHER+OTHER` if the width of a name
 * differs, for the objects that have these other members too.
 */
const WIDTHS: Readonly<Record<Exclude<IntegerType, "int64">, string>> = {
  int16: "temperature",
  int32: "hubid max-discard max-transfer max-write-zero opt-discard opt-write-zero serial",
  uint8: `additional-status bank bank-group channel cme-ev-flags compress-level compress-threads
    cpu-throttle-increment cpu-throttle-initial decompress-threads descriptor flags head-id
    health-status level life-used maint-op-class maint-op-subclass max-cpu-throttle media-status
    multifd-channels multifd-qatzip-level multifd-zlib-level multifd-zstd-level rank region
    sub-channel sub-type throttle-trigger-threshold transaction-type type val/src`,
  uint16: `book-id/entitlement column core-id/entitlement cpu-affinity cpus drawer-id/entitlement
    dst host-id host-nodes index initiator ld-id line mode node-affinity nodeid num-queues
    port/sock queue queue-size socket-id/entitlement src target to`,
  uint32: `cbitpos cbw-timeout cme-count corrected-persistent-error-count
    corrected-volatile-error-count cvme-count device dirty-shutdown-count expired_scan_cycle
    flags/maint-op-class granularity handle handshake-max-seconds header interval
    keep-alive-count keep-alive-idle keep-alive-interval log-sector-size max-connections
    max_queue_size maxlen nibble-mask node node-id/size offset/src open-timeout policy poll-us port
    prealloc-threads queues reconnect-delay reduced-phys-bits row rxsession snap-id tbl-id txsession
    vectors x-checkpoint-delay`,
  uint64: `align/prealloc announce-initial announce-max announce-rounds announce-step attributes
    avail-switchover-bandwidth bandwidth block-size boundaries boundaries-flush boundaries-read
    boundaries-write boundaries-zap cluster-size compare_timeout correction-mask dirty-rate
    downtime-limit dpa extent-size-hint gpa hugetlbsize latency latency-ns len length/path
    log-size log-super-update-interval logical-block-size max-bandwidth max-postcopy-bandwidth
    max-size mem min-cluster-size object-size offset/filename offset/len offset/prealloc
    policy/guest-visible-workarounds rxcookie size sndbuf start throttle-bps throttle-ops txcookie
    val/size vcpu-dirty-limit write-threshold x-rdma-chunk-size x-vcpu-dirty-limit-period
    xbzrle-cache-size`,
};

/** The integers that are `int64` although others of their name are not. */
const SIGNED = "port/hostname queues/chardev+vhostforce queues/vhostdev size/device " +
  "size/file+offset size/latency-ns size/logfile";

/** The parameters of a migration that 5.2 has as `int64`, and 7.2 with the widths above. */
const PARAMETERS = `compress-level compress-threads decompress-threads throttle-trigger-threshold
  cpu-throttle-initial cpu-throttle-increment max-bandwidth downtime-limit x-checkpoint-delay
  multifd-channels max-cpu-throttle multifd-zlib-level multifd-zstd-level`;

/** The widths that differ before a major version: of the first of these that is newer. */
const BEFORE: readonly (readonly [major: number, widths: Readonly<Record<string, string>>])[] = [
  [6, { int64: PARAMETERS.replace(/\S+/g, "$&/announce-step") }],
  [10, {
    // `memsave` and `pmemsave`, measured on 8.2 and 10.0.
    int64: "size/val val/size reconnect/addr+server+telnet reconnect/addr+server+reconnect-ms",
    // The network backend `stream`, measured on 8.2 and 10.0.
    uint32: "reconnect/addr+server",
  }],
];

/** The width of an integer in the objects that have some other members too. */
interface Width {
  readonly siblings: readonly string[];
  readonly type: IntegerType;
}

/** Returns the widths in rows of `NAME/OTHER+OTHER`, by name; those with most other members first. */
function widthsOf(rows: Iterable<readonly [type: string, names: string]>): Map<string, Width[]> {
  const widths = new Map<string, Width[]>();
  for (const [type, names] of rows) {
    for (const row of names.split(/\s+/)) {
      const [name = "", others] = row.split("/");
      const width = { siblings: others?.split("+") ?? [], type: type as IntegerType };
      widths.set(name, [...widths.get(name) ?? [], width]);
    }
  }
  for (const each of widths.values()) each.sort((a, b) => b.siblings.length - a.siblings.length);
  return widths;
}

/** The widths by version: those before a major version, the oldest first. */
const ERAS = [...BEFORE.keys(), BEFORE.length].map((at) => {
  const older = BEFORE.slice(at).flatMap(([, widths]) => Object.entries(widths));
  const before = BEFORE[at]?.[0] ?? Infinity;
  return { before, widths: widthsOf([...older, ...Object.entries(WIDTHS), ["int64", SIGNED]]) };
});

/** Returns the type of an integer, a member of an object or an element of a list in it. */
export function integerType(name: string, owner: SchemaObject, [major]: Version): IntegerType {
  const has = (other: string): boolean => owner.members.some(({ name }) => name === other);
  const { widths } = ERAS.find(({ before }) => major < before)!;
  return widths.get(name)?.find(({ siblings }) => siblings.every(has))?.type ?? "int64";
}

/** The names of alternates, by their types: JSON's name, `enum`, or `object` and its first member. */
const ALTERNATES: Readonly<Record<string, string>> = {
  "array string": "BlockExportIothreads",
  "enum int": "GuestFileWhence",
  "enum object:template": "Qcow2OverlapChecks",
  "null object:driver string": "BlockdevRefOrNull",
  "null string": "StrOrNull",
  "object:driver string": "BlockdevRef",
  "object:node string": "BlockDirtyBitmapOrStr",
};

/** The names that alternates of the table had before 7.0. */
const OLD_NAMES: Readonly<Record<string, string>> = {
  BlockDirtyBitmapOrStr: "BlockDirtyBitmapMergeSource",
};

/** The name of an alternate that is not in the table. */
const UNKNOWN_ALTERNATE = "alternate";

/** Returns the name of an alternate of these types; `alternate` if it is not known. */
export function alternateName(
  types: readonly string[],
  schema: Introspection,
  [major]: Version,
): string {
  const kinds = types.map((each) => {
    const type = schema.types.get(each)!;
    if (type.kind === "builtin") return type.json;
    return type.kind === "object" ? `object:${type.members[0]?.name}` : type.kind;
  });
  const name = ALTERNATES[kinds.sort().join(" ")] ?? UNKNOWN_ALTERNATE;
  return major < 7 ? OLD_NAMES[name] ?? name : name;
}
