/*
 * Turns what a client wrote into a spec in which nothing is left open, or into a list of all its
 * faults.
 *
 * It finds as many faults as it can. The schema is checked first (spec.ts). But a misspelt
 * optimizer must not hide a missing dataset. So each section that is well-formed is checked further
 * even if others are not: `data` against its dataset, `data` and `loss` against the columns, and
 * these with `model` and `optimizer` by making the plan, which has shapes and bytes.
 */
import { setImmediate as turn } from "node:timers/promises";
import type { Inherited } from "../../data/encode/encoding.ts";
import { ARITHMETIC_VERSION } from "../../engine/kernels/kernels.ts";
import { stepsPerEpoch } from "../../engine/job.ts";
import { modeFault } from "../../engine/metrics/metrics.ts";
import type { Direction } from "../../engine/metrics/metric.ts";
import { spanOf, withoutSpan } from "../../engine/schedules/span.ts";
import { outputNotes } from "../../engine/plan/outputs.ts";
import { scheduleType } from "../../engine/schedules/learning-rate.ts";
import { targetsOf } from "../../engine/losses/targets.ts";
import type { Component } from "../../engine/plan/memory.ts";
import type { Plan } from "../../engine/plan/model.ts";
import { planOf } from "../../engine/plan/plans.ts";
import { courseOf, workMs } from "../../engine/plan/work.ts";
import { PlanError } from "../../engine/plan/faults.ts";
import { planInputOf } from "../../engine/plan/input.ts";
import { encodedBytes } from "../../engine/training.ts";
import { stateEntries } from "../../engine/state/state.ts";
import { faulty } from "../errors.ts";
import { withoutRewind, withRewind } from "../schema/detectors.ts";
import { inheritanceOf, sharedBy, type EncodersTold, type EncoderSource, type Inheritance } from "./encoders.ts";
import { startOf, type InitContext, type Start, type StartTold } from "./init.ts";
import { defaultLogEverySteps, withDerived } from "./derived.ts";
import { check, mebibytes, type Fault } from "./faults.ts";
import { givenInit } from "../schema/init.ts";
import { groupFaults, membershipFaults } from "../schema/groups.ts";
import { hashSpec } from "./identity.ts";
import {
  fittingBatch,
  isSet,
  pooledModel,
  setFaults,
  setOf,
  wholeSet,
  type ModelSet,
  type NewSet,
} from "./model-set.ts";
import { undefinedFaults } from "./rows-faults.ts";
import { UNBOUNDED } from "./present.ts";
import {
  classFaults,
  observeFaults,
  scheduleFaults,
  scheduleWarnings,
  trainingFaults,
  validationFaults,
} from "./settings-faults.ts";
import { sizesOf, type Sizes } from "./sizes.ts";
import { Spec, type ResolvedSpec } from "../schema/spec.ts";
import { readTable, type Table } from "./read-table.ts";
import { openInput, type BroughtTable, type Input, type TableContext } from "./tables.ts";
import { bounded, type Warning } from "./warnings.ts";
import type { Webhook } from "../schema/webhook.ts";

export interface ResolveContext extends TableContext, InitContext {
  /** Finds a job of the owner whose encoders another may take over. */
  encoders(job: string): Promise<EncoderSource | null>;
  /** Most memory that a job may take while it runs. */
  readonly maxMemoryBytes: number;
  /** Most bytes that a checkpoint of it may take. */
  readonly maxStateBytes: number;
  /** The reasons why the owner's events cannot be sent there. */
  webhookFaults(webhook: Pick<Webhook, "url">): readonly Fault[];
}

export interface Resolved {
  readonly spec: ResolvedSpec;
  readonly specSha256: string;
  /** Together with the spec it determines every bit of the result. */
  readonly arithmeticVersion: number;
  readonly parameterCount: number;
  readonly memoryBytes: number;
  /** What the bytes are for. */
  readonly memory: Readonly<Record<Component, number>>;
  readonly stateBytes: number;
  /** Milliseconds that one thread would train, estimated. */
  readonly workMs: number;
  readonly sizes: Sizes;
  readonly totalSteps: number;
  /** At most `MAX_WARNINGS`. */
  readonly warnings: readonly Warning[];
  /** Null: the job trains one model. */
  readonly set: NewSet | null;
  /** The encoders that the job takes over from another; null: it fits its own. */
  readonly inherited: Inherited | null;
  /** The weights that it begins with; null: random ones, or those of the job it is a fork of. */
  readonly start: Start | null;
  /** What the event of the creation tells of both. */
  readonly told: Told;
  /** The shapes of the tensors in a checkpoint, by name. Only forks ask: long names take time. */
  shapes(): ReadonlyMap<string, readonly number[]>;
  /**
   * The table that came with the spec. The caller makes it and keeps it, or discards it. Null if
   * the spec names a dataset.
   */
  readonly table: BroughtTable | null;
}

/** What a job takes over from others. */
export interface Told {
  readonly encoders: EncodersTold | null;
  readonly init: StartTold | null;
}

/**
 * @param forkOf the job that this one is forked from; null: it is no fork
 * @throws Problem `invalid_spec` with every fault.
 */
export async function resolveSpec(
  body: unknown,
  context: ResolveContext,
  forkOf: string | null = null,
): Promise<Resolved> {
  const { value, faults: misshapen } = check(Spec, body, UNBOUNDED);
  const parts = value ?? wellFormedSections(body);
  const faults: Fault[] = [
    ...(misshapen ?? []),
    ...setFaults(parts),
    ...validationFaults(parts),
    ...scheduleFaults(parts),
  ];
  faults.push(...groupFaults(parts.parameter_groups ?? [], parts.optimizer, parts.schedule));
  if (parts.webhook) faults.push(...context.webhookFaults(parts.webhook));
  const input = parts.data
    ? await openInput(parts.data, parts.loss ? targetsOf(parts.loss) : null, context, faults)
    : null;
  try {
    const set = input && isSet(parts) ? await setOf(parts, input, faults) : null;
    // Without models there is nothing to plan.
    if (isSet(parts) && set === null) throw faulty("invalid_spec", faults);
    const taken = input && (await inheritanceFor(parts, body, forkOf, input, context, faults));
    const inheritance = set === null ? taken : taken && set.largest(taken);
    // A set is measured by its largest model.
    const [one, oneParts] = set === null ? [value, parts] : [value && set.largest(value), set.largest(parts)];
    const planned = await planJob(one, oneParts, input, { inheritance, forkOf, set }, context, faults);
    const pooled = value?.training.pooled && set ? await planPooled(value, input, taken!, set, context) : null;
    const job = set === null ? planned : wholeSet(planned, pooled, value!, set.shape, context.maxMemoryBytes);
    return { ...job, table: input?.table ?? null };
  } catch (error) {
    await input?.table?.discard();
    throw error;
  }
}

/** The encoders that are not fitted to the rows of one model. */
async function inheritanceFor(
  parts: Partial<Spec>,
  body: unknown,
  forkOf: string | null,
  input: Input,
  context: ResolveContext,
  faults: Fault[],
): Promise<Inheritance | null> {
  if (parts.data?.encoders !== "shared")
    return await inheritanceOf(parts, body, forkOf, input.content, context, faults);
  const shared = await sharedBy(parts, input, faults);
  // Without encoders the data cannot be measured.
  if (shared === null) throw faulty("invalid_spec", faults);
  return shared;
}

/** The plain job of all rows of a set. @param taken what the models of the set take over */
async function planPooled(
  value: Spec,
  input: Input | null,
  taken: Inheritance,
  set: ModelSet,
  context: ResolveContext,
): Promise<Omit<Resolved, "table">> {
  const spec = pooledModel(value);
  const inheritance = pooledModel(taken);
  return await planJob(spec, spec, input, { inheritance, forkOf: null, set }, context, []);
}

const MANY_LAYERS = 200;

async function planJob(
  given: Spec | null,
  givenParts: Partial<Spec>,
  input: Input | null,
  { inheritance, forkOf, set }: { inheritance: Inheritance | null; forkOf: string | null; set: ModelSet | null },
  context: ResolveContext,
  faults: Fault[],
): Promise<Omit<Resolved, "table">> {
  const table = input && (await readTable(givenParts, input, inheritance, faults));
  const fitting = <S extends Partial<Spec>>(of: S) => (set && table ? fittingBatch(of, table.sizes.train) : of);
  const [value, parts] = [given && fitting(given), fitting(givenParts)];
  if (table) faults.push(...trainingFaults(parts, table), ...classFaults(parts, table));
  const plan = table && planWith(parts, table, context, faults);
  // To plan so many layers is a piece of work of its own, and so is what follows.
  if (plan && plan.nodes.length > MANY_LAYERS) await turn();
  if (table && plan) {
    const facts = { targets: table.sizes.validated, isScored: plan.scoresPerTarget > 0 };
    faults.push(...undefinedFaults(parts, table.classes?.length ?? null, facts), ...observeFaults(parts, table, plan));
  }
  // A fork begins with its checkpoint, whatever its parent began with.
  const init = forkOf === null ? givenInit(parts) : null;
  const start = plan && init ? await startOf(init, stateEntries(plan), context, faults) : null;
  if (value === null || !table || !plan || faults.length > 0) throw faulty("invalid_spec", faults);

  const filled = fillIn(value, table, plan);
  const spec = start ? { ...filled, init: { ...init!, sha256: start.sha256 } } : filled;
  return {
    spec,
    specSha256: hashSpec(spec),
    arithmeticVersion: ARITHMETIC_VERSION,
    parameterCount: plan.parameterCount,
    memoryBytes: plan.memoryBytes + bytesOf(table),
    memory: { ...plan.memory, data: plan.memory.data + bytesOf(table) },
    stateBytes: plan.stateBytes,
    workMs: workMs(plan, courseOf(value.training, table.sizes)),
    sizes: sizesOf(spec, plan, table),
    totalSteps: totalSteps(value, table),
    set: null,
    warnings: bounded([
      ...table.warnings,
      ...(start?.warnings ?? []),
      ...scheduleWarnings(spec, table),
      ...outputNotes(plan, spec.loss),
    ]),
    inherited: table.inherited,
    start,
    told: { encoders: table.told, init: start && start.told },
    shapes: () => new Map(stateEntries(plan).map(({ name, shape }) => [name, shape])),
  };
}

/** The sections of a faulty spec that have no faults themselves. */
function wellFormedSections(body: unknown): Partial<Spec> {
  if (typeof body !== "object" || body === null) return {};
  const sections = Object.entries(Spec.shape).flatMap(([name, schema]) => {
    const { value, faults } = check(schema, (body as Record<string, unknown>)[name], UNBOUNDED);
    return faults === null ? [[name, value]] : [];
  });
  return Object.fromEntries(sections) as Partial<Spec>;
}

/** Plans the model; null if that fails. A section that is missing here already has a fault. */
function planWith(parts: Partial<Spec>, table: Table, context: ResolveContext, faults: Fault[]): Plan | null {
  const { model, loss, optimizer, parameter_groups: groups = [], training, resources, checkpoint } = parts;
  if (!model || !loss || !optimizer) return null;
  const { train, valid, test } = table.sizes;
  const settings = {
    model,
    loss,
    optimizer,
    groups,
    training,
    observe: parts.observe,
    keepBest: checkpoint?.keep_best ?? false,
  };
  const data = {
    inputs: table.sizes.inputs,
    target: { classes: table.classes?.length ?? null, shape: table.sizes.targetShape },
    trainRows: train,
    evaluatedRows: Math.max(valid, test),
  };
  try {
    const plan = planOf(planInputOf(settings, data, resources?.threads ?? 1));
    const names = plan.parameters.map(({ name }) => name);
    const buffers = plan.buffers.map(({ name }) => name);
    faults.push(...membershipFaults(groups, names, buffers), ...sizeFaults(plan, table, context));
    return plan;
  } catch (error) {
    if (!(error instanceof PlanError)) throw error;
    faults.push(...error.faults);
    return null;
  }
}

function sizeFaults(plan: Plan, table: Table, { maxMemoryBytes, maxStateBytes }: ResolveContext): Fault[] {
  const faults: Fault[] = [];
  const memory = plan.memoryBytes + bytesOf(table);
  if (memory > maxMemoryBytes) {
    const what = plan.memoryBytes > bytesOf(table) ? "/model" : "/data";
    const message = `makes the job take ${mebibytes(memory)} of memory; it may take ${mebibytes(maxMemoryBytes)} (RAPPEL_MAX_JOB_BYTES)`;
    faults.push({ pointer: what, message });
  }
  if (plan.stateBytes > maxStateBytes) {
    const message = `makes a checkpoint take ${mebibytes(plan.stateBytes)}; it may take ${mebibytes(maxStateBytes)} (RAPPEL_MAX_STATE_BYTES, RAPPEL_REDIS_MAX_BYTES)`;
    faults.push({ pointer: "/model", message });
  }
  return faults;
}

function bytesOf(table: Table): number {
  const { inputs, targetShape, encodedBytes: known } = table.sizes;
  return known ?? encodedBytes(table.rows, inputs, targetShape);
}

function totalSteps({ training }: Spec, { sizes }: Table): number {
  return training.epochs * stepsPerEpoch(training, sizes.train);
}

function fillIn(spec: Spec, table: Table, plan: Plan): ResolvedSpec {
  const total = totalSteps(spec, table);
  const filled = {
    ...spec,
    data: table.data,
    model: { layers: plan.layers as ResolvedSpec["model"]["layers"] },
    detectors: withRewind(spec.detectors, total),
  };
  return withDerived(filled, { total, perEpoch: stepsPerEpoch(spec.training, table.sizes.train) });
}

/** Earlier versions stored the default mode `min` of a schedule, whatever metric it follows. */
function withoutWrongMode(schedule: Spec["schedule"]): Spec["schedule"] {
  if (!scheduleType(schedule).follow) return schedule;
  const fault = modeFault(String(schedule.metric), (schedule.mode ?? null) as Direction | null);
  return fault === null ? schedule : { ...schedule, mode: null };
}

/**
 * Sets what was computed from the number of steps back to its default, so that it can be computed
 * for another number. The same is done with directions, which follow from the metrics.
 */
export function withoutDerived(spec: Spec, totalSteps: number): Spec {
  const { log_every_steps: every, early_stopping: stopping, ...training } = spec.training;
  const chosen = every === defaultLogEverySteps(totalSteps) ? null : every;
  return {
    ...spec,
    detectors: withoutRewind(spec.detectors, totalSteps),
    schedule: withoutSpan(
      withoutWrongMode(spec.schedule),
      spanOf(spec.schedule, totalSteps, totalSteps / spec.training.epochs),
    ),
    training: { ...training, log_every_steps: chosen, early_stopping: stopping && { ...stopping, mode: null } },
  };
}
