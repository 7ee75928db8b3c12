/**
 * The optimizer state of a checkpoint in PyTorch's form, which `load_state_dict` of the optimizer's
 * class in torch.optim takes. Its tensors are only named here. They come in a separate file.
 */
import { z } from "zod";
import { learningGroupOf, learningGroups, type LearningGroup } from "../engine/plan/groups.ts";
import { configure } from "../engine/optimizers/configure.ts";
import { optimizers } from "../engine/optimizers/registry.generated.ts";
import type { TorchForm, TorchItem, TorchTensor, TorchValue } from "../engine/optimizers/torch.ts";
import type { Member } from "../engine/settings.ts";
import { Rates } from "../engine/step/rates.ts";
import { scheduleType, type Rate } from "../engine/schedules/learning-rate.ts";
import { size } from "../engine/member/shape.ts";
import { functionKernels } from "../engine/kernels/kernels.ts";
import { stateHead, type StateHead } from "../engine/state/state.ts";
import { assembleFile } from "../engine/state/state-worker.ts";
import { faulty, type Problem } from "./errors.ts";
import { JobId } from "./wire/common.ts";
import type { Job } from "./wire/job.ts";

const Item = z.union([
  z.number(),
  z.null(),
  z.object({ tensor: z.string() }).describe("Its name in the file of tensors."),
]);

export const TorchOptimizer = z
  .object({
    job_id: JobId,
    step: z.int().min(0),
    optimizer: z.string().meta({ examples: ["torch.optim.AdamW"] }),
    param_groups: z
      .array(z.looseObject({ lr: z.number(), params: z.array(z.int().min(0)) }))
      .describe(
        "The options of the class. `lr` is the rate of the next step, as a scheduler of PyTorch leaves it. If there is a schedule, `initial_lr` is the rate that it starts from.",
      ),
    state: z.record(z.string(), z.record(z.string(), z.union([Item, z.array(Item)]))),
    parameter_names: z
      .record(z.string(), z.string())
      .describe(
        "The names of all parameters of the model, in its order. Groups and state have only the parameters that learn.",
      ),
    tensors: z.string().describe("The path of the file of tensors."),
  })
  .meta({
    id: "TorchOptimizer",
    description:
      "An optimizer's state as torch.optim has it. PyTorch's options that only select an implementation (`foreach`, `fused`, …) are left out.",
  });
export type TorchOptimizer = z.infer<typeof TorchOptimizer>;

/** A parameter that learns: its place in the model, and its group. */
interface Learner {
  readonly id: number;
  readonly name: string;
  readonly shape: readonly number[];
  readonly group: number;
}

/**
 * @param head the beginning of a checkpoint's file. @throws Problem `invalid_parameter` if
 * torch.optim does not have the optimizer
 */
export function torchOptimizer(job: Job, head: Uint8Array): TorchOptimizer {
  return translated(job, stateHead(head)).document;
}

/** The file of its tensors, made from the file of a checkpoint. @throws Problem as above */
export async function torchTensors(job: Job, file: Uint8Array): Promise<Uint8Array> {
  return (await assembleFile(file, translated(job, stateHead(file)).tensors)).bytes;
}

/** The state, and the stretches of the checkpoint that each of its tensors is made of. */
function translated(
  { id: job, spec, progress: { total_steps } }: Job,
  { shapes, parameters, progress }: StateHead,
): { document: TorchOptimizer; tensors: ReadonlyMap<string, TorchTensor> } {
  const { optimizer, parameter_groups, schedule, training } = spec;
  const groups = learningGroups(optimizer, parameter_groups);
  const learners = parameters.flatMap((name, id): Learner[] => {
    const group = learningGroupOf(name, parameter_groups);
    return group === null ? [] : [{ id, name, shape: shapes.get(name)!, group }];
  });
  const form = formOf(optimizer, learners);
  const rates = new Rates(functionKernels(), schedule, groups, total_steps / training.epochs);
  const next = rates.next(progress);
  const usesBase = !scheduleType(schedule).ownRates && (schedule.type !== "constant" || schedule.warmup_steps > 0);
  const scalars = [progress.scalars, ...progress.groups.map((group) => group.scalars)];
  const tensors = new Map<string, TorchTensor>();
  const document = {
    job_id: job,
    step: progress.step,
    optimizer: `torch.optim.${form.name}`,
    param_groups: groups.flatMap((group, i) => {
      const params = learners.filter((learner) => learner.group === i).map(({ id }) => id);
      if (params.length === 0) return [];
      const initial = usesBase ? { initial_lr: rates.bases[i] * group.rateScale } : {};
      return [{ ...optionsOf(form, group.optimizer, next[i]), ...initial, params }];
    }),
    state: statesOf(form, groups, learners, progress.step, scalars, tensors),
    parameter_names: Object.fromEntries(parameters.map((name, id) => [id, name])),
    tensors: `/v1/jobs/${job}/checkpoints/${progress.step}?format=torch_optimizer_tensors`,
  };
  return { document, tensors };
}

/** @throws Problem `invalid_parameter` */
function formOf(optimizer: Member, learners: readonly Learner[]): TorchForm {
  const { torch } = configure(optimizer).type;
  if (torch === undefined) {
    const all = Object.values(optimizers);
    const known = all.filter((type) => type.torch !== undefined).map(({ type }) => type);
    const dialect = optimizer.dialect === "torch" ? "" : ` in dialect ${String(optimizer.dialect)}`;
    throw refusal(`torch.optim does not have ${optimizer.type}${dialect}; it has ${known.join(", ")}`);
  }
  const odd = learners.find(({ shape }) => torch.takes?.(shape) === false);
  if (odd) throw refusal(`torch.optim.${torch.name} does not take ${odd.name}, which is ${odd.shape.join(" × ")}`);
  return torch;
}

function refusal(why: string): Problem {
  return faulty("invalid_parameter", [{ pointer: "?format", message: `must be safetensors for this job: ${why}` }]);
}

/** The options that the class has, as they are in the next step. */
function optionsOf({ lacks = [], sets }: TorchForm, optimizer: Member, { lr, momentum }: Rate) {
  const { cycledOption: cycled } = configure(optimizer).type;
  const options = Object.entries(optimizer).filter(([name]) => !["type", "dialect", ...lacks].includes(name));
  const moved = (value: unknown) => (Array.isArray(value) ? [momentum, ...(value as unknown[]).slice(1)] : momentum);
  return {
    ...Object.fromEntries(options),
    ...(cycled && momentum !== null ? { [cycled]: moved(optimizer[cycled]) } : {}),
    ...sets?.(optimizer),
    lr,
  };
}

/**
 * The state of each parameter. Its tensors are added to `tensors`, under the names that the state
 * gives them.
 */
function statesOf(
  form: TorchForm,
  groups: readonly LearningGroup[],
  learners: readonly Learner[],
  step: number,
  scalars: readonly Readonly<Record<string, number>>[],
  tensors: Map<string, TorchTensor>,
): TorchOptimizer["state"] {
  if (form.whole) {
    const [{ id }] = learners;
    return { [id]: wired(form.whole(groups[0].optimizer, learners, scalars[0]), `${id}`, tensors) };
  }
  const configured = groups.map(({ optimizer }) => configure(optimizer));
  const states = learners.map(({ id, name, shape, group }): [number, TorchOptimizer["state"][string]] => {
    const kept = configured[group].state(shape).map((tensor): [string, TorchValue] => {
      const own = tensor.shape ?? shape;
      const of = [{ tensor: `optimizer.${tensor.name}.${name}`, begin: 0, length: size(own) }];
      return [tensor.name, { shape: own, of }];
    });
    const counted: Record<string, number> = form.uncounted ? {} : { step };
    return [id, wired({ ...counted, ...scalars[group], ...Object.fromEntries(kept) }, `${id}`, tensors)];
  });
  return Object.fromEntries(states.filter(([, state]) => Object.keys(state).length > 0));
}

/** Values in the form of the wire, with tensors by name. */
function wired(
  values: Readonly<Record<string, TorchValue>>,
  prefix: string,
  tensors: Map<string, TorchTensor>,
): TorchOptimizer["state"][string] {
  const item = (value: TorchItem, name: string) => {
    if (typeof value === "number" || value === null) return value;
    tensors.set(name, value);
    return { tensor: name };
  };
  const entries = Object.entries(values).map(([key, value]) => {
    const name = `${prefix}.${key}`;
    return [key, isList(value) ? value.map((one, i) => item(one, `${name}.${i}`)) : item(value, name)];
  });
  return Object.fromEntries(entries) as TorchOptimizer["state"][string];
}

const isList = (value: TorchValue): value is readonly TorchItem[] => Array.isArray(value);
