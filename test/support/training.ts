// Small training jobs for tests of the engine.
import { Crew, type CrewHandlers, type Snapshot } from "../../src/engine/crew/crew.ts";
import type { Hands } from "../../src/engine/crew/hands.ts";
import type { Outcome } from "../../src/engine/crew/outcome.ts";
import type { LogEntry } from "../../src/engine/crew/log-reader.ts";
import type { Finding } from "../../src/engine/detectors/detector.ts";
import type { TrainingJob } from "../../src/engine/job.ts";
import type { Change } from "../../src/engine/watch/rewind.ts";
import type { HashedFile } from "../../src/engine/state/state.ts";
import { modelFile } from "../../src/engine/state/model-files.ts";
import { layers } from "../../src/engine/layers/registry.generated.ts";
import { detectors } from "../../src/engine/detectors/registry.generated.ts";
import type { KernelChoice } from "../../src/engine/kernels/native.ts";
import { losses } from "../../src/engine/losses/registry.generated.ts";
import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import { schedules } from "../../src/engine/schedules/registry.generated.ts";
import { withDefaults, type Options } from "../../src/engine/member/options.ts";
import type { TrainingData } from "../../src/engine/training.ts";
import type { Member } from "../../src/engine/settings.ts";
import type { NamedValue } from "../../src/engine/plan/graph.ts";

const registries = { layers, losses, optimizers, schedules, detectors } as Record<
  string,
  Record<string, { type: string; dialect?: string; options: Options }>
>;

/**
 * A member with its declared defaults filled in; optimizers go by their names in the registry
 * (`keras_adam`).
 */
export function member(registry: keyof typeof registries, type: string, options: Record<string, unknown> = {}): Member {
  return withDefaults(registries[registry][type], options);
}

/**
 * `rows` samples of `width` features in three classes that can be told apart; every fifth row
 * validates.
 */
export function classes(rows: number, width: number): TrainingData {
  const features = new Float32Array(new SharedArrayBuffer(rows * width * 4));
  const targets = new Int32Array(new SharedArrayBuffer(rows * 4));
  let state = 1;
  for (let i = 0; i < rows; i++) {
    let sum = 0;
    for (let j = 0; j < width; j++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      features[i * width + j] = state / 2 ** 31 - 1;
      if (j < 3) sum += features[i * width + j];
    }
    targets[i] = sum > 0.5 ? 2 : sum < -0.5 ? 0 : 1;
  }
  const all = Array.from({ length: rows }, (_, i) => i);
  const shared = (list: number[]) => {
    const copy = new Int32Array(new SharedArrayBuffer(list.length * 4));
    copy.set(list);
    return copy;
  };
  return {
    inputs: [{ ...inputOf(width), values: features }],
    targets,
    targetShape: [],
    trainRows: shared(all.filter((i) => i % 5 !== 0)),
    validRows: shared(all.filter((i) => i % 5 === 0)),
    testRows: shared([]),
    target: { classes: ["0", "1", "2"], mean: 0, std: 1 },
  };
}

/** An input of `width` numbers. */
export const inputOf = (width: number): NamedValue => ({ name: "features", shape: [width], type: "float32" });

/** The numbers of the only input. */
export const featuresOf = (data: TrainingData): Float32Array => data.inputs[0].values as Float32Array;

/** Data with other numbers for the only input. */
export function withFeatures(data: TrainingData, values: Float32Array): TrainingData {
  return { ...data, inputs: [{ ...data.inputs[0], values }] };
}

export interface JobChanges {
  readonly layers?: readonly Member[];
  readonly optimizer?: Member;
  readonly groups?: TrainingJob["groups"];
  readonly schedule?: Member;
  readonly training?: Partial<TrainingJob["training"]>;
  readonly keepBest?: boolean;
  readonly data?: TrainingData;
  readonly loss?: Member;
  readonly observe?: TrainingJob["observe"];
  readonly detectors?: TrainingJob["detectors"];
}

/** Three linear layers of sizes that are no multiple of a vector, with dropout, under Adam. */
export function smallJob(changes: JobChanges = {}): TrainingJob {
  const linear = (outputs: number | null) => member("layers", "linear", { out_features: outputs });
  const model = [
    linear(33),
    member("layers", "gelu"),
    member("layers", "dropout", { p: 0.2 }),
    linear(17),
    member("layers", "tanh"),
    linear(null),
  ];
  return {
    model: { layers: changes.layers ?? model },
    loss: changes.loss ?? member("losses", "cross_entropy"),
    optimizer: changes.optimizer ?? member("optimizers", "adam", { lr: 0.01 }),
    groups: changes.groups,
    schedule: (changes.schedule ?? {
      ...member("schedules", "cosine_annealing", { t_max: 100 }),
      interval: "step",
      warmup_steps: 5,
    }) as TrainingJob["schedule"],
    training: {
      epochs: 10,
      batch_size: 32,
      seed: 2 ** 40 + 7,
      shuffle: true,
      drop_last: false,
      clip_grad_norm: null,
      clip_grad_value: null,
      eval_every_epochs: 2,
      log_every_steps: 4,
      early_stopping: null,
      ...changes.training,
    },
    keepBest: changes.keepBest ?? false,
    data: changes.data ?? classes(210, 11),
    observe: changes.observe,
    detectors: changes.detectors,
  };
}

export interface Trained {
  readonly outcome: Outcome;
  readonly crew: Crew;
  /** The final state, and the model made of it; null unless the job came to its end. */
  readonly state: HashedFile | null;
  readonly weights: string | null;
  /** Every periodic checkpoint's bytes by step. */
  readonly checkpoints: ReadonlyMap<number, Uint8Array>;
  readonly losses: readonly (readonly [number, number])[];
  readonly logged: readonly LogEntry[];
  /** Metrics of observed steps. */
  readonly observed: readonly (readonly [number, Readonly<Record<string, number>>])[];
  readonly findings: readonly Finding[];
}

export interface TrainOptions {
  hands?: Hands;
  readonly kernels?: KernelChoice;
  readonly threads?: number;
  readonly everySteps?: number | null;
  /** Whether a checkpoint is taken before the first step. */
  readonly atStart?: boolean;
  readonly state?: Uint8Array | null;
  /** A model file to begin with. */
  readonly weights?: Uint8Array | null;
  readonly changes?: readonly Change[] | null;
  /** Called with the crew before it runs. */
  readonly meanwhile?: (crew: Crew) => void;
  /** Where the learning rates that are logged go. */
  readonly rates?: number[];
  readonly evaluated?: CrewHandlers["evaluated"];
  readonly onSnapshot?: (snapshot: Snapshot, crew: Crew) => void;
}

/** Trains to the end, keeping what the crew reports. */
export async function train(job: TrainingJob, options: TrainOptions = {}): Promise<Trained> {
  const files: Promise<[Snapshot, HashedFile]>[] = [];
  const logged: LogEntry[] = [];
  const observed: [number, Readonly<Record<string, number>>][] = [];
  const findings: Finding[] = [];
  const crew: Crew = await Crew.start(
    job,
    {
      threads: options.threads ?? 1,
      everySteps: options.everySteps ?? null,
      atStart: options.atStart,
      // The crew takes it over.
      state: options.state?.slice() ?? null,
      weights: options.weights?.slice() ?? null,
      changes: options.changes,
      kernels: options.kernels,
      hands: options.hands,
    },
    {
      log(entries) {
        logged.push(...entries);
        options.rates?.push(...entries.map((entry) => entry.learning_rate));
      },
      evaluated: options.evaluated ?? (() => {}),
      observed: (step, metrics) => observed.push([step, metrics]),
      diagnosed: (finding) => findings.push(finding),
      snapshot(snapshot) {
        files.push(snapshot.serialize().then((file) => [snapshot, file]));
        options.onSnapshot?.(snapshot, crew);
      },
    },
  );
  options.meanwhile?.(crew);
  const outcome = await crew.run();
  const written = await Promise.all(files);
  const state = written.find(([{ kinds }]) => kinds.includes("final"))?.[1] ?? null;
  return {
    outcome,
    crew,
    state,
    weights: state && modelFile(state.bytes, "final").sha256,
    checkpoints: new Map(written.map(([{ step }, { bytes }]) => [step, bytes])),
    losses: logged.map(({ step, train_loss }) => [step, train_loss]),
    logged,
    observed,
    findings,
  };
}
