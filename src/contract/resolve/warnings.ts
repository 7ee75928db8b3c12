/**
 * Warnings: what the author of a spec should know although the spec is accepted. They never refuse
 * anything and do not change the result. They are stored with the job.
 */
import { z } from "zod";
import { initWarningCodes } from "./init-codes.ts";
import { dataWarningCodes } from "../../data/encode/warn.ts";
import { outputCodes } from "../../engine/plan/outputs.ts";
import { spanCodes } from "../../engine/schedules/span.ts";

/** Most warnings of a job, and most of one code. */
export const MAX_WARNINGS = 50;
const MAX_OF_CODE = 10;
/** Most characters of a message. */
const MAX_MESSAGE_LENGTH = 1000;

/** The codes, and what each means. */
const codes = { ...dataWarningCodes, ...spanCodes, ...outputCodes, ...initWarningCodes };

export const Warning = z
  .object({
    pointer: z.string().describe("The part of the job's spec that it is about, as an RFC 6901 pointer."),
    code: z.enum(Object.keys(codes) as (keyof typeof codes)[]).describe(described(codes)),
    message: z.string().describe("Continues the sentence that begins with the pointer."),
  })
  .meta({ id: "Warning", description: "Something to know about a spec although it is accepted." });
export type Warning = z.infer<typeof Warning>;

/** As many warnings as a job keeps. The last of a code says how many more there are. */
export function bounded(warnings: readonly Warning[]): Warning[] {
  const byCode = Map.groupBy(warnings, ({ code }) => code);
  const kept = [...byCode.values()].flatMap((some) => {
    const left = some.length - MAX_OF_CODE;
    const first = some.slice(0, MAX_OF_CODE).map((warning) => ({ ...warning, message: cut(warning.message) }));
    if (left > 0) first[MAX_OF_CODE - 1].message += `; and ${left} more such warnings`;
    return first;
  });
  return kept.slice(0, MAX_WARNINGS);
}

function cut(message: string): string {
  return message.length > MAX_MESSAGE_LENGTH ? `${message.slice(0, MAX_MESSAGE_LENGTH - 1)}…` : message;
}

function described(meanings: Readonly<Record<string, string>>): string {
  const lines = Object.entries(meanings).map(([code, meaning]) => `\`${code}\`: ${meaning}`);
  return `${lines.join("; ")}.`;
}
