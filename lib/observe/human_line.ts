/**
 * Lines of the human monitor that carry a secret, or ask for one.
 *
 * A line is not parsed: QEMU has its own form of arguments for each command. A line of a known command is
 * shown unless it has the form of one with a secret.
 *
 * @module
 */

/** The command that runs a line, which is its argument `command-line`. */
export const HUMAN_COMMAND = "human-monitor-command";

/** The commands of the human monitor of QEMU 7.2, 10.0 and 11.1, as `help` lists them. */
const KNOWN: ReadonlySet<string> = new Set(
  `? announce_self balloon block_job_cancel block_job_complete block_job_pause block_job_resume
  block_job_set_speed block_resize block_set_io_throttle block_stream boot_set c calc_dirty_rate
  cancel_vcpu_dirty_limit change chardev-add chardev-change chardev-remove chardev-send-break
  client_migrate_info closefd commit cont cpu delvm device_add device_del drive_add drive_backup
  drive_del drive_mirror dump-guest-memory dumpdtb eject exit_preconfig expire_password gdbserver getfd
  gpa2hpa gpa2hva gva2gpa help hostfwd_add hostfwd_remove i info loadvm log logfile mce memsave migrate
  migrate_cancel migrate_continue migrate_incoming migrate_pause migrate_recover migrate_set_capability
  migrate_set_parameter migrate_start_postcopy mouse_button mouse_move mouse_set nbd_server_add
  nbd_server_remove nbd_server_start nbd_server_stop netdev_add netdev_del nmi o object_add object_del
  one-insn-per-tb p pcie_aer_inject_error pmemsave print q qemu-io qom-get qom-list qom-set quit
  replay_break replay_delete_break replay_seek ringbuf_read ringbuf_write s savevm screendump sendkey
  set_link set_password set_vcpu_dirty_limit singlestep snapshot_blkdev snapshot_blkdev_internal
  snapshot_delete_blkdev_internal stop stopcapture sum sync-profile system_powerdown system_reset
  system_wakeup trace-event watchdog_action wavcapture x x_colo_lost_heartbeat xen-event-inject
  xen-event-list xp`.split(/\s+/),
);

/** The commands that print what may be a secret: data of the guest, and any property of an object. */
const ASKING: ReadonlySet<string> = new Set(["qom-get", "ringbuf_read", "x", "xp"]);

/** The name at the beginning of a line; a format such as `/16xb` may follow at once. */
const NAME = /^\s*([^\s/]*)/;

/** The form of a line that may carry a secret. */
const SECRET_LINE =
  /pass|secret|token|credential|cookie|key|data=|auth|\bsig(?:nature)?=|ringbuf_write|qom-set|[\n\r]|:\/\/[^/\s]*@|json:|\b(?:exec|cmd):/i;

/** The command `change DEVICE TARGET`, which carries a secret if the device is `vnc`. */
const CHANGE = /\bchange\b/i;
const VNC = /\bvnc\b/i;

/** Returns whether a line may carry a secret: only the name of its command is shown. */
export function mayCarrySecret(line: string): boolean {
  return SECRET_LINE.test(line) || changesVnc(line) || !KNOWN.has(nameIn(line));
}

/** Returns whether a line asks for what may be a secret. */
export function mayAskForSecret(line: string): boolean {
  return ASKING.has(nameIn(line));
}

function nameIn(line: string): string {
  return NAME.exec(line)![1]!;
}

function changesVnc(line: string): boolean {
  const change = line.search(CHANGE);
  return change >= 0 && VNC.test(line.slice(change));
}
