/**
 * Users and groups by name and by number.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { Failure } from "../lib/platform/failure.ts";
import { idOf, missingNames } from "../lib/platform/users.ts";
import { parseListener } from "../lib/config/options.ts";

Deno.test("idOf() finds a user by name", () => {
  assertEquals(idOf("user", "root"), 0);
});

Deno.test("idOf() finds a group by name", () => {
  const [line = ""] = Deno.readTextFileSync("/etc/group").split("\n").slice(-2);
  const [name = "", , id] = line.split(":");
  assertEquals(idOf("group", name), Number(id));
});

Deno.test("idOf() returns a number unchanged", () => {
  assertEquals(idOf("user", "12345"), 12345);
  assertEquals(idOf("group", "4294967294"), 4294967294);
});

for (const number of ["4294967295", "4294967296", "99999999999999999999"]) {
  Deno.test(`idOf() refuses ${number}, which would become another number`, () => {
    const error = assertThrows(() => idOf("user", number), Failure);
    assertEquals(error.message, `user=${number} is out of range; numbers go up to 4294967294`);
    assertEquals(error.status, 78);
  });
}

for (
  const [kind, file] of [["user", "/etc/passwd"], ["group", "/etc/group"]] as const
) {
  for (const name of ["no-such-one", "", "root:x", "-1", "0x0"]) {
    Deno.test(`idOf() refuses the ${kind} ${JSON.stringify(name)} and names where it looked`, () => {
      const error = assertThrows(() => idOf(kind, name), Failure);
      assertEquals(
        error.message,
        `${kind}=${name}: ${file} has no such ${kind}; use an existing one, or a number`,
      );
      assertEquals(error.status, 78);
    });
  }
}

Deno.test("missingNames() finds every option of a listener with an unknown name", () => {
  const options = "user=root,group=no-such-g,allow=0+no-such-u+@root,role-for=@no-such-h:observer";
  assertEquals([...missingNames(parseListener(`/run/m,${options}`))], [
    ["group", "group=no-such-g: /etc/group has no such group; use an existing one, or a number"],
    ["allow", "allow=no-such-u: /etc/passwd has no such user; use an existing one, or a number"],
    [
      "role-for",
      "role-for=@no-such-h: /etc/group has no such group; use an existing one, or a number",
    ],
  ]);
  assertEquals([...missingNames(parseListener("/run/m,user=root,allow=root"))], []);
});
