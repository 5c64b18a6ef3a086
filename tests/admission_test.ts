/**
 * Admission: the clients that a listener accepts, and their grants.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { UsageError } from "../lib/policy/usage_error.ts";
import {
  type Credentials,
  grantFor,
  type Principal,
  principalText,
} from "../lib/policy/admission.ts";
import { parseListener } from "../lib/config/options.ts";

const IDS: Readonly<Record<string, number>> = { alice: 1000, bob: 1001, "@kvm": 36, "@wheel": 10 };
const idOf = (who: Principal): number | undefined => IDS[principalText(who)];

const ALICE: Credentials = { uid: 1000, gid: 1000, groups: [] };
const BOB: Credentials = { uid: 1001, gid: 1001, groups: [36] };
const MALLORY: Credentials = { uid: 666, gid: 666, groups: [] };
const KVM: Credentials = { uid: 107, gid: 36, groups: [] };

/** Returns the role that a client gets through a listener, or `-` if it is refused. */
function roleOf(listener: string, credentials: Credentials | undefined): string {
  const { admission, grant } = parseListener(`/run/m,${listener}`);
  return grantFor(admission, grant, credentials, idOf)?.role.name ?? "-";
}

const CASES: [
  options: string,
  alice: string,
  bob: string,
  mallory: string,
  kvm: string,
  unknown: string,
][] = [
  ["name=x", "full", "full", "full", "full", "full"],
  ["identity=on", "full", "full", "full", "full", "full"],
  ["allow=alice", "full", "-", "-", "-", "-"],
  ["allow=alice,role=operator", "operator", "-", "-", "-", "-"],
  ["allow=alice+@kvm", "full", "full", "-", "full", "-"],
  ["role-for=alice:admin", "admin", "-", "-", "-", "-"],
  ["role-for=alice:admin,role=observer", "admin", "observer", "observer", "observer", "observer"],
  ["role-for=@kvm:operator+alice:admin", "admin", "operator", "-", "operator", "-"],
  ["role-for=bob:observer+@kvm:operator", "-", "observer", "-", "operator", "-"],
  ["role-for=@kvm:operator+bob:observer", "-", "operator", "-", "operator", "-"],
  ["role-for=alice:admin,allow=bob", "admin", "full", "-", "-", "-"],
  ["role-for=nobody-there:admin", "-", "-", "-", "-", "-"],
];

for (const [options, ...roles] of CASES) {
  Deno.test(`termsFor() with ${options}`, () => {
    const somebodies = [ALICE, BOB, MALLORY, KVM, undefined];
    assertEquals(somebodies.map((each) => roleOf(options, each)), roles);
  });
}

Deno.test("termsFor() applies no rule to users that cannot be identified", () => {
  const { admission, grant } = parseListener("/run/m,allow=nobody+@nogroup");
  const unseen: Credentials = { uid: 65534, gid: 65534, groups: [65534] };
  assertEquals(grantFor(admission, grant, unseen, () => 65534), undefined);
});

Deno.test("termsFor() returns the limits of the role", () => {
  const { admission, grant } = parseListener("/run/m,role-for=alice:observer,role=full");
  const limit = (credentials: Credentials): number | undefined =>
    grantFor(admission, grant, credentials, idOf)?.limits["max-command"];
  assertEquals([limit(ALICE), limit(BOB)], [65536, 262144]);
});

const WRONG: [options: string, text: string][] = [
  ["allow=", 'invalid value "" for allow: expected a user, or @ and a group, by name or number'],
  ["allow=a b", 'invalid value "a b" for allow: '],
  ["allow=@", 'invalid value "@" for allow: '],
  ["role-for=alice", 'invalid value "alice" for role-for: expected WHO:ROLE'],
  ["role-for=alice:", 'invalid value "alice:" for role-for: '],
  ["role-for=alice:admin:x", 'invalid value "alice:admin:x" for role-for: '],
  ["role-for=alice:root", 'unknown role "root": expected full'],
  ["fds=yes", 'invalid value "yes" for fds: expected on or off'],
];

for (const [options, text] of WRONG) {
  Deno.test(`parseListener() refuses ${options}`, () => {
    assertThrows(() => parseListener(`/run/m,${options}`), UsageError, text);
  });
}

for (
  const option of ["identity=on", "fds=on", "allow=alice", "role-for=alice:admin", "user-rate=5"]
) {
  Deno.test(`parseListener() refuses ${option} where clients cannot be identified`, () => {
    const key = option.slice(0, option.indexOf("="));
    assertThrows(
      () => parseListener(`127.0.0.1:4444,${option}`),
      UsageError,
      `${key}= needs a unix socket`,
    );
  });
  Deno.test(`parseListener() turns on identification of clients for ${option}`, () => {
    assertEquals(parseListener(`/run/m,${option}`).identity, true);
  });
}
