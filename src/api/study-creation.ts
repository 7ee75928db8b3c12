/**
 * Creates studies. The specs of a few trials, which have every value of every choice and both ends
 * of every range, are resolved first, so that what is wrong is told now and not by failed trials.
 * Rows that came with the spec become a dataset, which all trials share.
 */
import type { FastifyReply } from "fastify";
import { Faulty, faulty } from "../contract/errors.ts";
import { datasetIds } from "../contract/facts.ts";
import { check, pointer, type Fault } from "../contract/resolve/faults.ts";
import { isObject } from "../contract/resolve/merge-patch.ts";
import { UNBOUNDED } from "../contract/resolve/present.ts";
import { resolveSpec, type Resolved, type ResolveContext } from "../contract/resolve/resolve.ts";
import { baseFaults, distinct, faultsOfTrial, parametersOf, studyOf, trialsOf } from "../contract/resolve/study.ts";
import type { Spec } from "../contract/schema/spec.ts";
import { StudyRequest } from "../contract/wire/study.ts";
import { cornersOf } from "../studies/corners.ts";
import { forks, trialTextOf } from "../studies/plan.ts";
import { withValues, type Parameter, type Placed } from "../studies/space.ts";
import type { IdempotencyUse } from "../store/idempotency.ts";
import { roomOf, type Room } from "../store/room.ts";
import type { CreatedStudy } from "../store/studies.ts";
import { removeDataset } from "./datasets.ts";
import { keepData, newJobId, resolveContext, type Kept } from "./job-creation.ts";
import { Pace } from "./pace.ts";
import type { Services } from "./services.ts";

/** How many specs are resolved when a study is posted. */
const MOST_RESOLVED = 128;

export async function createStudy(
  services: Services,
  reply: FastifyReply,
  idempotency: IdempotencyUse | null,
): Promise<CreatedStudy> {
  const { request } = reply;
  const { owner } = request;
  const { value: asked, faults: misshapen } = check(StudyRequest, request.body, UNBOUNDED);
  if (misshapen !== null) throw faulty("invalid_spec", misshapen);
  const faults: Fault[] = baseFaults(asked);
  const parameters = parametersOf(asked.space, faults);
  const sound = faults.length === 0;
  const context = resolveContext(services, reply);
  if (asked.webhook !== null) faults.push(...context.webhookFaults(asked.webhook));
  const tried = new Tried(services, owner, context, asked);
  let created: CreatedStudy | null = null;
  try {
    if (sound) faults.push(...(await tried.resolveCorners(parameters)));
    const { first } = tried;
    const study = studyOf(asked, parameters, first?.spec.training.epochs ?? null, faults);
    const trials = sound ? trialsOf(asked, study, faults) : 0;
    if (first === null || faults.length > 0) throw faulty("invalid_spec", faults);
    // Of the trial that needs most: one that never has room would keep the study from its end.
    await services.store.jobs.askRoom(owner, tried.room!);
    const { data, ids } = tried.data();
    const { epochs, direction } = study;
    const settings = { ...asked, spec: { ...asked.spec, data }, trials, epochs, direction };
    const id = `study_${await services.store.newUlid()}`;
    const firstJob = await newJobId(services.store);
    const trialText = trialTextOf(study);
    created = await services.store.studies.create({
      id,
      owner,
      settings,
      datasetIds: ids,
      firstJob,
      trialText,
      idempotency,
    });
    return created;
  } finally {
    if (created?.outcome !== "created") await tried.giveUp();
  }
}

/** Why a trial cannot go on from another: their states or their steps are not alike. */
function forkFault(one: Resolved, other: Resolved): string | null {
  const rule = "lets trials go on from others, and the space makes";
  if (one.totalSteps !== other.totalSteps) return `${rule} other steps of an epoch: leave that out of the space`;
  const [a, b] = [one.shapes(), other.shapes()];
  const name = [...a.keys(), ...b.keys()].find((tensor) => String(a.get(tensor)) !== String(b.get(tensor)));
  return name === undefined ? null : `${rule} states that differ (${name}): leave out what changes their tensors`;
}

/** The specs that are resolved, and the data that they share. */
class Tried {
  readonly #services: Services;
  readonly #owner: string;
  readonly #context: ResolveContext;
  readonly #asked: StudyRequest;
  #kept: Kept | null = null;
  /** Whether it was told that a trial cannot go on from another. */
  #differ = false;
  /** The first that has no faults. */
  first: Resolved | null = null;
  /** What the job needs that needs most. */
  room: Room | null = null;

  constructor(services: Services, owner: string, context: ResolveContext, asked: StudyRequest) {
    this.#services = services;
    this.#owner = owner;
    this.#context = context;
    this.#asked = asked;
  }

  async resolveCorners(parameters: readonly Parameter[]): Promise<Fault[]> {
    const { trials, unset } = cornersOf(this.#asked.spec, parameters, MOST_RESOLVED);
    const at = (place: string[], message: string) => ({ pointer: pointer(["space", ...place]), message, here: null });
    const faults: ReturnType<typeof faultsOfTrial> = unset.map((lost) => at([lost, "when"], "never holds"));
    const pace = new Pace();
    for (const trial of trials) {
      await pace.turn();
      const nowhere = "points nowhere: what it lies in is not in the spec, or is a list without this place";
      faults.push(...trial.lost.map((lost) => at([lost], nowhere)));
      faults.push(...(await this.#faultsOf(trial, parameters)));
    }
    return distinct(faults);
  }

  async #faultsOf(trial: Placed, parameters: readonly Parameter[]) {
    const placed = withValues(this.#asked.spec, parameters, trial.values) as Spec;
    const pruning = { metric: this.#asked.objective, rungs: [{ epoch: 1, value: null }] };
    const training = isObject(placed.training) ? { ...placed.training, pruning } : placed.training;
    const data = this.#kept === null ? placed.data : this.data().data;
    try {
      const resolved = await resolveSpec({ ...placed, data, training }, this.#context);
      if (resolved.set !== null) {
        await resolved.table?.discard();
        const message =
          "makes a set of models, and a trial is one job: leave out partition_by, /training/seeds and folds without a fold";
        return [{ pointer: "/spec", message, here: null }];
      }
      this.first ??= resolved;
      const message = forks(this.#asked) && !this.#differ ? forkFault(this.first, resolved) : null;
      if (message !== null) {
        this.#differ = true;
        return [{ pointer: "/sampler/type", message, here: null }];
      }
      const room = roomOf(resolved, 0);
      if (this.room === null || room.bytes > this.room.bytes) this.room = room;
      this.#kept ??= await this.#keep(resolved);
      return [];
    } catch (error) {
      if (!(error instanceof Faulty)) throw error;
      return faultsOfTrial(error.faults, trial, parameters);
    }
  }

  async #keep(resolved: Resolved): Promise<Kept | null> {
    try {
      return await keepData(this.#services, this.#owner, resolved);
    } finally {
      await resolved.table?.discard();
    }
  }

  /** The data of every trial's spec, and the datasets that they are. */
  data(): { data: object; ids: readonly string[] } {
    const { inline: _, synthetic: __, ...data } = this.first!.spec.data;
    if (this.#kept === null) return { data: this.first!.spec.data, ids: datasetIds(data) };
    const { id } = this.#kept.record;
    return { data: { ...data, dataset: id }, ids: [id] };
  }

  async giveUp(): Promise<void> {
    if (!this.#kept?.created) return;
    await removeDataset(this.#services, this.#owner, this.#kept.record).catch(() => undefined);
  }
}
