// Memories under a limit. Each reserves some 10 GB of addresses, whatever its size.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { isShortage, MemoryShortage } from "../../../src/engine/crew/shortage.ts";

const engine = fileURLToPath(new URL("../../../src/engine/", import.meta.url));

const program = `
import { returnMemory, takeMemory } from "${engine}crew/memories.ts";
import { inline } from "${engine}crew/inline.ts";
const size = (i) => (8 + i) * 2 ** 18;
for (let i = 0; i < 8; i++) await returnMemory(await takeMemory(size(i)), 0);
for (let i = 0; i < 8; i++) await inline.returnMemory(await inline.takeMemory(size(i)), 0);
const held = [];
const error = await (async () => { for (;;) held.push(await takeMemory(2 ** 20)); })().catch((error) => error);
console.log(held.length > 0, error.name);
process.exit();
`;

test.runIf(spawnSync("prlimit", ["--version"]).status === 0)(
  "those that are kept make room for one of another size",
  () => {
    // Below some 20 GB Node reserves no more than each memory needs.
    const limit = ["--as=32000000000", process.execPath, "--disable-warning=ExperimentalWarning"];
    const { stdout, stderr } = spawnSync("prlimit", [...limit, "--input-type=module", "--eval", program], {
      encoding: "utf8",
    });
    expect(stdout + stderr).toBe("true MemoryShortage\n");
  },
);

test("what V8 and Node say of a shortage is told from other errors, also from other threads", () => {
  const said = [
    () => new WebAssembly.Memory({ initial: 1, maximum: 1e9, shared: true }),
    () => new Float32Array(-1),
    () => [].at(0n as never),
  ];
  const errors = said.map((fail) => {
    try {
      return fail();
    } catch (error) {
      return error;
    }
  });
  expect(errors.map(isShortage)).toEqual([false, false, false]);
  const shortages = [() => new ArrayBuffer(2 ** 52), () => new SharedArrayBuffer(2 ** 52)].map((fail) => {
    try {
      return fail();
    } catch (error) {
      return structuredClone(error);
    }
  });
  expect(shortages.map(isShortage)).toEqual([true, true]);
  expect(isShortage(new MemoryShortage("none"))).toBe(true);
});
