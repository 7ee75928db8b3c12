import { execFileSync } from "node:child_process";
import { globSync, readFileSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { nativeSets } from "../../src/engine/kernels/native.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));

// npm runs the script before the first `npx rappel`, where a build would take up to a minute.
test.skipIf(nativeSets().length === 0)("native kernels of the same sources are not built again", () => {
  const addon = `${root}native/build/rappel.node`;
  const before = statSync(addon).ino;
  const said = execFileSync(process.execPath, ["scripts/build-native.mjs"], { cwd: root, encoding: "utf8" });
  expect(said).toBe("Rappel's native kernels are built.\n");
  expect(statSync(addon).ino).toBe(before);
});

test("every set of instructions compiles the same kernels, which name no instruction", () => {
  const ofOneProcessor =
    /\b_mm\d*_\w+|\b__m\d+\w*|\bv\w+q?_(lane_|n_|high_|low_)*[fsu](32|64)\b|__(AVX|ARM|aarch64|x86)\w*/;
  const files = globSync("native/*.{c,h}", { cwd: root });
  const naming = files.filter((file) => ofOneProcessor.test(readFileSync(root + file, "utf8"))).sort();
  expect(naming).toEqual(["avx2", "avx512", "neon", "processor", "vectors", "x64"].map((name) => `native/${name}.h`));
});
