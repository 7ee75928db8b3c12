/*
 * Encoders that a job takes over from another.
 *
 * A fork, and a job that begins with another's weights, keep the encoders of that job, because
 * learned weights mean the numbers that those make. A copy of them is stored with the new job, so
 * that the other one may be deleted. Their hash is in the spec and in its identity.
 *
 * If everything that encoders are fitted to is the same, nothing is copied: the job fits the same
 * encoders itself. So its spec is the one that it would have without the other job.
 */
import { createHash } from "node:crypto";
import type { DatasetSummary, TablePath } from "../../data/beside.ts";
import { describedEncoding } from "../../data/encode/described.ts";
import { fit } from "../../data/encode/encoding-cache.ts";
import { thisProcess, type Caller } from "../../data/pool.ts";
import type { ModelDescription } from "../wire/model.ts";
import { isSet } from "./model-set.ts";
import { presentSpec } from "./present.ts";
import { quoted, quotedFirst } from "../../data/encode/check.ts";
import type { Encoding, Inherited } from "../../data/encode/encoding.ts";
import type { TableSummary } from "../../data/encode/features.ts";
import {
  inheritedFaults,
  inheritedFeatures,
  inheritedTypes,
  outsideOf,
  unknownTargets,
  type Outside,
} from "../../data/encode/inherit.ts";
import { tableOf } from "../../data/encode/viewed-file.ts";
import type { DataWarning } from "../../data/encode/warn.ts";
import { targetsOf } from "../../engine/losses/targets.ts";
import { takenBy } from "../../engine/plan/taken.ts";
import { givenInit } from "../schema/init.ts";
import type { Spec } from "../schema/spec.ts";
import { canonicalJson } from "./canonical.ts";
import type { Fault } from "./faults.ts";
import { firstFold } from "./set-shape.ts";
import type { Input } from "./tables.ts";
import { withoutNeutral } from "./identity.ts";

export type { Inherited };

/** A job whose encoders another may take over. */
export interface EncoderSource {
  /** As it is stored. */
  readonly spec: Spec;
  /** What is stored with its model; null: it has none. */
  readonly model: Pick<ModelDescription, "inputs" | "input" | "target"> | null;
  readonly inherited: Inherited | null;
  /** Reads its table; null: a dataset of it was deleted. */
  read(read: (table: TablePath) => Promise<Encoding>): Promise<Encoding | null>;
}

/** What a spec takes over. */
export interface Inheritance {
  /** Null: the models of the set share encoders that are fitted for it. */
  readonly job: string | null;
  /** The spec's `data` with what the encoders determine. */
  readonly data: Spec["data"];
  /** Null: the data are the same, and so are their encoders. */
  readonly inherited: Inherited | null;
}

/** What the event of the creation tells of it. */
export interface EncodersTold {
  readonly job: string;
  readonly outside: Outside;
}

/** Most columns, and classes of a column, that it names. */
const MAX_TOLD = 10;

export function toldOf(job: string, { classes, ranges }: Outside): EncodersTold {
  const first = classes.slice(0, MAX_TOLD).map(({ column, classes: names }) => ({
    column,
    classes: names.slice(0, MAX_TOLD),
  }));
  return { job, outside: { classes: first, ranges: ranges.slice(0, MAX_TOLD) } };
}

type Parts = Partial<Spec>;

interface Context {
  /** Finds a job of the owner. */
  encoders(job: string): Promise<EncoderSource | null>;
  readonly caller?: Caller;
}

/**
 * @param body as the client wrote it
 * @param parent the job that the spec is a fork of; null: it is none
 * @returns null if the spec takes over nothing, or if there are faults
 */
export async function inheritanceOf(
  { data, loss, model, ...parts }: Parts,
  body: unknown,
  parent: string | null,
  content: DatasetSummary,
  { encoders: find, caller = thisProcess }: Context,
  faults: Fault[],
): Promise<Inheritance | null> {
  const pointer = "/data/encoders";
  if (!data || !loss) return null;
  const init = givenInit(parts);
  const from = parent ?? (init && "job" in init ? init.job : null);
  const asked = data.encoders ?? (from === null ? "refit" : "inherit");
  // Shared ones are fitted once the rest of the data is known to be right (`sharedBy`).
  if (asked === "shared") return null;
  if (asked === "refit" || asked === "own") {
    const message = "must be null: the encoders are fitted to these data";
    if (data.encoders_sha256 !== null) faults.push({ pointer: "/data/encoders_sha256", message });
    return null;
  }
  const job = asked === "inherit" ? from : asked.job;
  if (job === null) {
    const message = 'must be "refit" or {"job": "job_…"}: there is no other job whose encoders could be inherited';
    faults.push({ pointer, message });
    return null;
  }
  const found = await find(job);
  if (found === null) {
    faults.push({ pointer, message: `names ${job}, which does not exist` });
    return null;
  }
  if (isSet(found.spec) && found.inherited === null) {
    const message = `names ${job}, a set whose models have encoders of their own: name the plain job of one of them, or a set with "encoders": "shared"`;
    faults.push({ pointer, message });
    return null;
  }
  const source = { ...found, spec: presentSpec(found.spec) };
  faults.push(...overrideFaults(data, body, job, source.spec));
  const filled = filledBy(data, source.spec);
  const isSame = source.inherited === null && fitsSame({ data: filled, loss, model }, source.spec);
  if (isSame) return { job, data: { ...filled, encoders: asked }, inherited: null };
  const encoding = await encodingOf(source, caller);
  if (encoding === null) {
    const message = `names ${job}, which has no model, and whose dataset was deleted; "refit" fits new encoders`;
    faults.push({ pointer, message });
    return null;
  }
  const isTarget = canonicalJson(encoding.target?.column) === canonicalJson(data.target);
  const target = isTarget && targetsOf(loss) === targetsOf(source.spec.loss) ? encoding.target : null;
  const inherited = asStored({ inputs: encoding.inputs, target });
  return { job, data: { ...determinedBy(inherited, filled, content), encoders: asked }, inherited };
}

/** @param data of a spec, to which the encoders add what they determine */
function determinedBy(inherited: Inherited, data: Spec["data"], content: DatasetSummary): Spec["data"] {
  const types = inheritedTypes(tableOf(content), inherited);
  return { ...data, features: inheritedFeatures(inherited), columns: { ...types, ...data.columns } };
}

/** The encoders that the models of a set share. Null if there are faults. */
export async function sharedBy(
  { data, loss, model }: Parts,
  input: Pick<Input, "content" | "share">,
  faults: Fault[],
): Promise<Inheritance | null> {
  if (!data || !loss) return null;
  const shared = await input.share(firstFold(data), targetsOf(loss), model ? takenBy(model.layers) : "float32");
  if ("faults" in shared) {
    faults.push(...shared.faults);
    return null;
  }
  const inherited = asStored(shared);
  return { job: null, data: determinedBy(inherited, data, input.content), inherited };
}

/**
 * A job that has succeeded has them in the description of its model, and a set of models in its
 * record. Those of any other job are fitted again, to the same numbers.
 */
async function encodingOf({ spec, model, inherited, read }: EncoderSource, caller: Caller): Promise<Inherited | null> {
  if (isSet(spec)) return inherited;
  const takes = takenBy(spec.model.layers);
  if (model !== null) return describedEncoding(model, takes);
  return await read((table) => fit(table, spec.data, targetsOf(spec.loss), takes, inherited, caller));
}

/** What the encoders determine, so that a spec may not say something else. */
const DETERMINED = ["features", "shape", "preprocess"] as const;

function overrideFaults(data: Spec["data"], body: unknown, job: string, parent: Spec): Fault[] {
  const written = (body as { data: object }).data;
  const [own, theirs] = [data.text, parent.data.text ?? null].map((text) => text && canonicalJson(text.vocabulary));
  const isOther = own !== null && theirs !== null && own !== theirs;
  const names = DETERMINED.filter((name) => {
    const isWritten = Object.hasOwn(written, name) && data[name] !== null;
    return isWritten && canonicalJson(data[name]) !== canonicalJson(parent.data[name]);
  });
  const faults = names.map((name) => ({
    pointer: `/data/${name}`,
    message: `must be left out: the encoders of ${job} determine it; "encoders": "refit" in the data fits new ones`,
  }));
  if (!isOther) return faults;
  const message = `must be ${theirs}, which the encoders of ${job} determine; "encoders": "refit" in the data fits new ones`;
  return [...faults, { pointer: "/data/text/vocabulary", message }];
}

function filledBy(data: Spec["data"], { data: { features, shape, preprocess } }: Spec): Spec["data"] {
  return { ...data, features, shape, preprocess };
}

/** Whether two specs fit the same encoders to the same rows. */
function fitsSame({ data, loss, model }: Parts, parent: Spec): boolean {
  const kind = ({ loss, model }: Parts) => [loss && targetsOf(loss), model && takenBy(model.layers)];
  const [mine, theirs] = [data, parent.data].map((each) => canonicalJson(withoutNeutral({ data: each! })));
  return mine === theirs && canonicalJson(kind({ loss, model })) === canonicalJson(kind(parent));
}

/** As a record gives it back, so that the hash is that of what the job will have. */
function asStored(inherited: Inherited): Inherited {
  return JSON.parse(JSON.stringify(inherited)) as Inherited;
}

export function encodersSha256(inherited: Inherited): string {
  return createHash("sha256").update(canonicalJson(inherited)).digest("hex");
}

/** Whose encoders they are, in messages. */
const owned = (job: string | null): string => job ?? "the set";

/** What does not fit the encoders. @param table with the types that the job takes its columns as */
export function foreignFaults(
  table: TableSummary,
  { job, data, inherited }: Inheritance & { readonly inherited: Inherited },
): Fault[] {
  const areTexts = inherited.inputs[0].encoders.some(({ type }) => type === "text");
  if (areTexts !== (data.text !== null)) {
    const message = areTexts
      ? "make tokens of texts, and /data/text is null"
      : "make no tokens, as /data/text asks for";
    return [{ pointer: "/data/encoders", message: `are those of ${owned(job)}, which ${message}` }];
  }
  const faults: Fault[] = inheritedFaults(table, inherited);
  if (faults.length > 0) return faults;
  const { classes } = outsideOf(table, inherited);
  if (data.unseen === "error")
    for (const { column, classes: names } of classes) {
      const message = `must be "zeros", because ${quoted(column)} has ${quotedFirst(names)}, which the encoders of ${owned(job)} do not know; or "encoders": "refit" in the data fits new ones`;
      faults.push({ pointer: "/data/unseen", message });
    }
  const unknown = unknownTargets(table, inherited);
  if (unknown.length > 0) {
    const message = `names ${quoted(String(data.target))}, which has ${quotedFirst(unknown)}, which the encoders of ${owned(job)} do not know; "encoders": "refit" in the data fits new ones`;
    faults.push({ pointer: "/data/target", message });
  }
  const sha256 = encodersSha256(inherited);
  if (data.encoders_sha256 !== null && data.encoders_sha256 !== sha256) {
    const message = `must be null or ${sha256}, the hash of the encoders of ${owned(job)}`;
    faults.push({ pointer: "/data/encoders_sha256", message });
  }
  return faults;
}

/** Characters that an inherited vocabulary lacks. */
export function unknownFaults(unknown: readonly string[], { job, data }: Pick<Inheritance, "job" | "data">): Fault[] {
  if (unknown.length === 0 || data.unseen === "zeros") return [];
  const message = `must be "zeros", which leaves characters out, because the encoders of ${owned(job)} do not know ${quotedFirst(unknown)}; or "encoders": "refit" in the data fits new ones`;
  return [{ pointer: "/data/unseen", message }];
}

export function foreignWarnings(job: string | null, { classes, ranges }: Outside): DataWarning[] {
  return [
    ...classes.map(({ column, classes: names }): DataWarning => {
      const message = `encodes ${quotedFirst(names)} of ${quoted(column)} as zeros, which the encoders of ${owned(job)} do not know`;
      return { pointer: "/data/unseen", code: "unseen_class", message };
    }),
    ...ranges.map(({ column, min, max, before }): DataWarning => {
      const message = `are those of ${owned(job)}, and ${quoted(column)} goes from ${min} to ${max}, where it was ${before} there`;
      return { pointer: "/data/encoders", code: "far_range", message };
    }),
  ];
}
