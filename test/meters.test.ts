import { expect, test } from "vitest";
import { measureProcess, registry } from "../src/meters.ts";

test("every series of a known label begins with 0, so that its first increase is seen", async () => {
  measureProcess();
  const lines = (await registry.metrics()).split("\n");
  const series = {
    rappel_damage_total: { what: ["columns", "dataset", "weights", "checkpoint", "model", "record", "set"] },
    rappel_run_seconds_count: { end: ["ended", "released", "postponed", "lost"] },
    rappel_webhook_attempts_total: { result: ["delivered", "failed", "given_up"] },
  };
  for (const [name, labels] of Object.entries(series)) {
    const begun = lines.filter((line) => line.startsWith(`${name}{`));
    const [[label, values]] = Object.entries(labels) as [string, string[]][];
    expect(begun).toEqual(values.map((value) => `${name}{${label}="${value}"} 0`));
  }
  for (const name of ["lease_losses", "steps", "samples", "checkpoint_bytes", "checkpoint_failures"]) {
    expect(lines).toContain(`rappel_${name}_total 0`);
  }
  expect(lines.some((line) => line.startsWith("process_cpu_seconds_total "))).toBe(true);
});
