/**
 * The spec of a job's record, as today's code takes it. Only a spec that another version stored
 * needs the schema for that. Threads of lanes load the schema only then: it would take a third of
 * their memory.
 */
import type { ResolvedSpec } from "../contract/schema/spec.ts";
import { SPEC_VERSION } from "../contract/schema/version.generated.ts";

/** @param version the `SPEC_VERSION` of the code that stored it; null: it had none */
export async function storedSpec(text: string, version: string | null): Promise<ResolvedSpec> {
  const spec = JSON.parse(text) as ResolvedSpec;
  if (version === SPEC_VERSION) return spec;
  const { presentSpec } = await import("../contract/resolve/present.ts");
  return presentSpec(spec);
}
