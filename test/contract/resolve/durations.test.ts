// Timers of more than 2^31 − 1 ms go off at once, and again and again: no duration may be that
// long.
import { expect, test } from "vitest";
import { check } from "../../../src/contract/resolve/faults.ts";
import { Spec } from "../../../src/contract/schema/spec.ts";
import { openapi, type Schema } from "../../api/described.ts";
import { specFor } from "../../api/service.ts";

const MOST_MS = 2 ** 31 - 1;
const UNIT_MS = { ms: 1, seconds: 1000, minutes: 60_000, hours: 3_600_000, days: 86_400_000 };

interface Duration {
  readonly name: string;
  readonly schema: Schema;
}

/** Whatever has a unit of time at the end of its name. */
function durations(name: string, schema: unknown): Duration[] {
  if (typeof schema !== "object" || schema === null) return [];
  const here = unitOf(name) === undefined ? [] : [{ name, schema: schema as Schema }];
  return [...here, ...Object.entries(schema).flatMap(([key, inner]) => durations(key, inner))];
}

function unitOf(name: string): number | undefined {
  return UNIT_MS[/_(ms|seconds|minutes|hours|days)$/.exec(name)?.[1] as keyof typeof UNIT_MS];
}

test("every duration that a request can name has bounds that a timer can keep", () => {
  // Those of requests, and the components that they refer to.
  const bodies = Object.entries(openapi.components.schemas).filter(([name]) => name.endsWith("Input"));
  const parameters = Object.values(openapi.paths).flatMap((methods) =>
    Object.values(methods).flatMap((operation) => operation.parameters ?? []),
  );
  const found = [
    ...bodies.flatMap(([name, schema]) => durations(name, schema)),
    ...parameters.flatMap(({ name, schema }) => durations(name, schema)),
  ];
  expect(found.map(({ name }) => name).sort()).toEqual(["every_seconds", "wait_ms"]);
  for (const { name, schema } of found) {
    const numbers = [schema, ...((schema.anyOf as Schema[] | undefined) ?? [])].filter(
      ({ maximum }) => maximum !== undefined,
    );
    expect(numbers.map(({ maximum }) => (maximum as number) * unitOf(name)! <= MOST_MS)).toEqual([true]);
  }
});

test.each([
  [2_147_484, "must be at most 1000000"],
  [1e300, "must be at most 1000000"],
  [0, "must be at least 0.01"],
  [1e-9, "must be at least 0.01"],
])("checkpoints every %d seconds are refused", (seconds, message) => {
  const { faults } = check(Spec, specFor("ds_01k3w9d0c8v6m2q4r7t5x1y9za", { checkpoint: { every_seconds: seconds } }));
  expect(faults).toEqual([{ pointer: "/checkpoint/every_seconds", message }]);
});
