/**
 * Commands with planted secrets, one in each place where QMP carries secrets or data of a guest.
 *
 * Each text is planted once, so that a text that is found tells where it comes from.
 *
 * @module
 */

/** A command as a client sends it. */
export interface PlantedCommand {
  readonly execute: string;
  readonly arguments?: unknown;
}

/** Commands, and what may not be found in any record of them. */
export interface Planted {
  readonly commands: readonly PlantedCommand[];
  readonly secrets: readonly string[];
}

/** The options of a QEMU that has what the commands need: memory, a screen, a disk, a device for data. */
export function plantedEquipment(place: string): string[] {
  return [
    ...["-machine", "pc", "-m", "16"],
    ...["-vnc", `unix:${place}/vnc,password=on`],
    ...["-drive", "if=none,id=disk,driver=null-co"],
    ...["-chardev", "ringbuf,id=ring,size=1024"],
    ...["-device", `loader,file=${place}/guest-memory,addr=${GUEST_ADDRESS},force-raw=on`],
  ];
}

/** The address of a secret in the guest's memory. */
const GUEST_ADDRESS = 0x100000;

/** The secret in the guest's memory, as long as a line of its dump. */
export const GUEST_MEMORY = "guest-7e";

/**
 * Makes the commands of a client.
 *
 * @param who is in each secret, and in each name of an object
 * @param isSandboxed whether a sandbox kills QEMU when it starts a program
 */
export function planted(who: string, { isSandboxed = false } = {}): Planted {
  const secrets: string[] = [];
  const secret = (where: string): string => {
    const text = `${who}-${where}-7e5a`;
    secrets.push(text);
    return text;
  };
  const base64 = (where: string): string => {
    const text = btoa(secret(where));
    secrets.push(text);
    return text;
  };
  const commands: PlantedCommand[] = [];
  const plant = (execute: string, args?: unknown): void =>
    void commands.push({ execute, ...(args !== undefined && { arguments: args }) });
  const human = (line: string): void => plant("human-monitor-command", { "command-line": line });

  plant("set_password", { protocol: "vnc", password: secret("vnc"), connected: "keep" });
  plant("set_password", { protocol: "spice", password: secret("spice") });
  plant("set_password", { protocol: secret("protocol"), password: secret("no-protocol") });
  plant("set_password", { protocol: "vnc", pasword: secret("misspelt") });
  plant("set_password", { protocol: `${secret("escaped")}ä\u{1f511}\\"`, password: "" });
  plant("expire_password", { protocol: "vnc", time: secret("time") });
  plant("change-vnc-password", { password: secret("change-vnc") });
  plant("block_passwd", { device: "disk", password: secret("block-passwd") });
  plant("no-such-command-of-passwords", { anything: secret("unknown"), list: [secret("list")] });

  const id = (name: string): string => `${who}-${name}`;
  plant("object-add", { "qom-type": "secret", id: id("raw"), data: secret("raw") });
  plant("object-add", {
    ...{ "qom-type": "secret", id: id("base64"), format: "base64" },
    data: base64("base64"),
  });
  plant("object-add", { "qom-type": "secret", id: id("file"), file: `/no/${secret("file")}` });
  plant("object-add", {
    ...{ "qom-type": "secret", id: id("encrypted"), data: base64("ciphertext") },
    ...{ keyid: secret("keyid"), iv: base64("iv"), format: "base64" },
  });
  plant("object-add", {
    ...{ "qom-type": "secret_keyring", id: id("keyring") },
    serial: secret("keyring-serial"),
  });
  plant("object-add", {
    ...{ "qom-type": "tls-creds-x509", id: id("x509"), endpoint: "server", dir: "/no" },
    passwordid: secret("passwordid"),
  });
  plant("qom-get", { path: `/objects/${id("raw")}`, property: "data" });
  plant("qom-set", {
    ...{ path: `/objects/${id("raw")}`, property: "data" },
    value: secret("qom-set"),
  });
  plant("qom-set", {
    ...{ path: "/machine", property: "append" },
    value: `quiet ${secret("kernel-line")}`,
  });
  plant("qom-get", { path: "/machine", property: "append" });
  plant("qom-list-get", { paths: ["/machine"] });

  const file = { driver: "file", filename: "/no/disk" };
  plant("blockdev-add", {
    ...{ driver: "luks", "node-name": id("luks"), file, "key-secret": secret("key-secret") },
  });
  plant("blockdev-add", {
    ...{ driver: "qcow2", "node-name": id("qcow2"), file },
    encrypt: { format: "luks", "key-secret": secret("encrypt-key") },
  });
  plant("blockdev-add", {
    ...{ driver: "https", "node-name": id("https"), "read-only": true },
    url: `https://${secret("user-info")}:${secret("url-password")}@127.0.0.1:1/disk`,
    "password-secret": secret("password-secret"),
    cookie: `session=${secret("cookie")}`,
  });
  plant("blockdev-add", {
    ...{ driver: "https", "node-name": id("signed"), "read-only": true },
    url: `https://127.0.0.1:1/disk?sig=${secret("sig")}&X-Amz-Signature=${secret("signature")}`,
  });
  plant("blockdev-add", {
    ...{ driver: "iscsi", "node-name": id("iscsi"), transport: "tcp", portal: "127.0.0.1:1" },
    ...{ target: "iqn.x", user: "user", "password-secret": secret("iscsi-password") },
  });
  plant("blockdev-create", {
    "job-id": id("create"),
    options: { driver: "luks", file: "disk", size: 65536, "key-secret": secret("create-key") },
  });
  plant("job-dismiss", { id: id("create") });
  plant("x-blockdev-amend", {
    ...{ "job-id": id("amend"), "node-name": "disk" },
    options: { driver: "luks", state: "active", "new-secret": secret("new-secret") },
  });
  plant("blockdev-change-medium", {
    ...{ id: "none" },
    filename: `json:{"driver": "https", "cookie": "${secret("json-cookie")}"}`,
  });
  plant("transaction", {
    actions: [{ type: "abort", data: { password: secret("transaction") } }],
  });

  plant("ringbuf-write", { device: "ring", data: secret("ring") });
  plant("ringbuf-write", { device: "ring", data: base64("ring-base64"), format: "base64" });
  plant("ringbuf-read", { device: "ring", size: 1024 });
  plant("ringbuf-write", { device: "ring", data: secret("ring-human") });
  human("ringbuf_read ring 1024");
  plant("chardev-add", {
    id: id("chardev"),
    backend: { type: "file", data: { out: `/no/x?password=${secret("chardev-file")}` } },
  });
  plant("add-fd", { "fdset-id": 1, opaque: secret("opaque") });
  plant("query-fdsets");

  const key = { type: "qcode", data: secret("key") };
  plant("send-key", { keys: [key] });
  plant("input-send-event", {
    events: [{ type: "key", data: { down: true, key: { ...key, data: secret("input-key") } } }],
  });
  plant("device_add", {
    ...{ driver: "vfio-pci", id: id("vfio"), "vf-token": secret("vf-token") },
  });
  plant("device_add", { driver: "no-such-device", password: secret("device-password") });
  plant("netdev_add", {
    ...{ type: "user", id: id("user") },
    guestfwd: [{ str: `tcp:10.0.2.9:1-cmd:false ${secret("guestfwd")}` }],
  });
  plant("netdev_add", { type: "l2tpv3", id: id("l2tpv3"), txcookie: secret("txcookie") });
  plant("migrate-set-parameters", { "cpr-exec-command": ["/bin/false", secret("cpr")] });
  plant("sev-inject-launch-secret", {
    ...{ "packet-header": base64("sev-header"), secret: base64("sev") },
  });

  human(`set_password vnc ${secret("human-vnc")}`);
  human(`  expire_password vnc ${secret("human-time")}`);
  human(`change vnc password ${secret("human-change")}`);
  human(`object_add secret,id=${id("human")},data=${secret("human-data")}`);
  human(`qom-get /objects/${id("human")} data`);
  human(`qom-set /objects/${id("human")} data ${secret("human-qom-set")}`);
  human(`qom-get /machine append`);
  human(`ringbuf_write ring ${secret("human-ring")}`);
  human("ringbuf_read ring 1024");
  human(`drive_add 0 if=none,file=json:{"driver":"https","cookie":"${secret("human-json")}"}`);
  human(`sendkey ${secret("human-key")}`);
  human(`netdev_add user,id=x,guestfwd=tcp:10.0.2.9:1-cmd:false ${secret("human-cmd")}`);
  human(`chardev-add file,id=x,path=/no/x?token=${secret("human-token")}`);
  human(`no_such_command ${secret("human-unknown")}`);
  human(`xp /${GUEST_MEMORY.length}cb ${GUEST_ADDRESS}`);
  human(`x /${GUEST_MEMORY.length}cb ${GUEST_ADDRESS}`);
  human(`info status ; password ${secret("human-second")}`);
  if (isSandboxed) return { commands, secrets };

  plant("migrate", { uri: `exec:exit 1 # ${secret("migrate")}` });
  plant("migrate", {
    channels: [{
      "channel-type": "main",
      addr: { transport: "exec", args: ["/bin/false", secret("migrate-args")] },
    }],
  });
  plant("query-migrate");
  human(`migrate -d "exec:exit 1 # ${secret("human-migrate")}"`);
  return { commands, secrets };
}

/** Returns the secrets in the commands of a client that has a function for each, with a name for it. */
export function typed(who: string): Pick<Planted, "secrets"> {
  const places = ["vnc", "ring", "human", "property", "opaque"];
  return { secrets: places.map((place) => `${who}-${place}`) };
}

/** Malformed commands of a client, and the secret in them. */
export const MALFORMED = {
  secret: "malformed-7e5a",
  lines: [
    '{"execute": "set_password", "arguments": "malformed-7e5a"}',
    '{"execute": "query-status", "password": "malformed-7e5a"}',
    '{"execute": ["malformed-7e5a"]}',
    '{"execute": "set_password", "arguments": {"password": "malformed-7e5a", "password": 1}}',
    '{"execute": "set_password", "arguments": {"password": "malformed-7e5a"]}',
    "set_password vnc malformed-7e5a",
    "{'execute': 'malformed-7e5a",
    "",
  ],
} as const;
