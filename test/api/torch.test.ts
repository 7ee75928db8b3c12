// Optimizers' states as torch.optim has them. What PyTorch keeps is written down here; that it goes
// on from it was seen with PyTorch itself.
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Client } from "../../src/client/client.ts";
import { stateHead } from "../../src/engine/state/state.ts";
import { readSafetensors, type Tensor } from "../../src/engine/state/safetensors.ts";
import type { TorchOptimizer } from "../../src/contract/torch-optimizer.ts";
import type { Job } from "../../src/contract/wire/job.ts";
import { ended, startProcess, type WorkerProcess } from "../worker/support.ts";
import { csv, specFor, startService, type Service } from "./service.ts";

let service: Service;
let worker: WorkerProcess;
let dataset: string;

beforeAll(async () => {
  service = await startService();
  dataset = (await service.upload(csv)).id;
  worker = await startProcess({ REDIS_URL: service.redis.url, DATA_DIR: service.directory });
});
afterAll(async () => {
  worker.kill("SIGKILL");
  await worker.exited;
  await service.stop();
});

/** Of the two layers, in the model's order. */
const NAMES = ["0.weight", "0.bias", "2.weight", "2.bias"];
const STEPS = 12;

async function trained(changes: Record<string, unknown>): Promise<Job> {
  const { id } = await service.create(specFor(dataset, { training: { epochs: 3, batch_size: 4 }, ...changes }));
  const get = async () => (await service.call("GET", `/v1/jobs/${id}`)).body as Job;
  await expect.poll(async () => ended(await get()), { timeout: 30_000, interval: 20 }).toBe(true);
  return await get();
}

interface Exported {
  readonly document: TorchOptimizer;
  /** By the names that the document has for them. */
  readonly tensors: ReadonlyMap<string, Tensor>;
  /** Of the checkpoint. */
  readonly state: ReadonlyMap<string, Tensor>;
  readonly head: ReturnType<typeof stateHead>;
}

async function exported({ id, result }: Job): Promise<Exported> {
  const url = `/v1/jobs/${id}/checkpoints/${result!.steps}`;
  const { status, body, headers } = await service.call("GET", `${url}?format=torch_optimizer`);
  expect(status, JSON.stringify(body)).toBe(200);
  expect(headers["content-type"]).toMatch(/^application\/json/);
  const document = body as TorchOptimizer;
  expect(document).toMatchObject({ job_id: id, step: result!.steps, tensors: `${url}?format=torch_optimizer_tensors` });
  const [tensors, state] = [await service.call("GET", document.tensors), await service.call("GET", url)];
  expect(tensors.headers["content-type"]).toBe("application/octet-stream");
  return {
    document,
    tensors: readSafetensors(tensors.body as Uint8Array).tensors,
    state: readSafetensors(state.body as Uint8Array).tensors,
    head: stateHead(state.body as Uint8Array),
  };
}

const floats = ({ bytes }: Tensor) => [...new Float32Array(Uint8Array.from(bytes).buffer)];

/** What each class keeps for a parameter, beside `step` where it has one. */
const KEPT: Readonly<Record<string, { name: string; options?: object; keeps: readonly string[]; counts?: false }>> = {
  sgd: { name: "SGD", options: { momentum: 0.9 }, keeps: ["momentum_buffer"], counts: false },
  adam: { name: "Adam", options: { amsgrad: true }, keeps: ["exp_avg", "exp_avg_sq", "max_exp_avg_sq"] },
  adamw: { name: "AdamW", keeps: ["exp_avg", "exp_avg_sq"] },
  adamax: { name: "Adamax", keeps: ["exp_avg", "exp_inf"] },
  nadam: { name: "NAdam", keeps: ["mu_product", "exp_avg", "exp_avg_sq"] },
  radam: { name: "RAdam", keeps: ["exp_avg", "exp_avg_sq"] },
  rmsprop: {
    name: "RMSprop",
    options: { centered: true, momentum: 0.5 },
    keeps: ["square_avg", "momentum_buffer", "grad_avg"],
  },
  adagrad: { name: "Adagrad", keeps: ["sum"] },
  adadelta: { name: "Adadelta", keeps: ["square_avg", "acc_delta"] },
  rprop: { name: "Rprop", keeps: ["prev", "step_size"] },
  asgd: { name: "ASGD", keeps: ["eta", "mu", "ax"] },
  adafactor: { name: "Adafactor", keeps: ["row_var", "col_var"] },
  sparse_adam: { name: "SparseAdam", keeps: ["exp_avg", "exp_avg_sq"] },
};

describe.each(Object.entries(KEPT))("%s", (type, { name, options, keeps, counts = true }) => {
  test("keeps for each parameter what its class does, with the checkpoint's values", async () => {
    const job = await trained({ optimizer: { type, ...options } });
    const { document, tensors, state, head } = await exported(job);
    expect(document.optimizer).toBe(`torch.optim.${name}`);
    expect(document.parameter_names).toEqual(Object.fromEntries(NAMES.entries()));
    const { type: _type, dialect: _dialect, ...own } = job.spec.optimizer;
    expect(document.param_groups).toEqual([
      { ...own, ...(type === "adamw" ? { decoupled_weight_decay: true } : {}), params: [0, 1, 2, 3] },
    ]);
    expect(Object.keys(document.state)).toEqual(["0", "1", "2", "3"]);
    let count = 0;
    for (const [id, parameter] of NAMES.entries()) {
      const factored = type === "adafactor" && parameter.endsWith("bias");
      const expected = factored ? ["variance"] : keeps;
      const { step, ...kept } = document.state[id];
      expect(step).toBe(counts ? STEPS : undefined);
      expect(Object.keys(kept).sort()).toEqual(expected.toSorted());
      for (const [key, value] of Object.entries(kept)) {
        if (typeof value === "number") {
          expect(value).toBe(head.progress.scalars[key]);
          continue;
        }
        expect(value).toEqual({ tensor: `${id}.${key}` });
        const [theirs, ours] = [tensors.get(`${id}.${key}`)!, state.get(`optimizer.${key}.${parameter}`)!];
        expect(theirs.shape).toEqual(ours.shape);
        expect(theirs.bytes).toEqual(ours.bytes);
        count++;
      }
    }
    expect(tensors.size).toBe(count);
  });
});

test("L-BFGS has vectors of the whole model, and its history in lists, the oldest first", async () => {
  const optimizer = { type: "lbfgs", history_size: 3, max_iter: 4 };
  const { document, tensors, state, head } = await exported(
    await trained({ optimizer, training: { epochs: 3, batch_size: "full" } }),
  );
  const [group] = document.param_groups;
  expect(group).toMatchObject({ history_size: 3, max_iter: 4, max_eval: 5, params: [0, 1, 2, 3] });
  expect(Object.keys(document.state)).toEqual(["0"]);
  const { scalars } = head.progress;
  const flat = (name: string) => NAMES.flatMap((parameter) => floats(state.get(`optimizer.${name}.${parameter}`)!));
  const past = (name: string, place: number) =>
    NAMES.flatMap((parameter) => {
      const all = floats(state.get(`optimizer.${name}.${parameter}`)!);
      return all.slice((place * all.length) / 3, ((place + 1) * all.length) / 3);
    });
  // The ring has come round, else the order would not show.
  expect(scalars.oldest).toBeGreaterThan(0);
  const places = [0, 1, 2].map((i) => (scalars.oldest + i) % 3);
  const lists = ["old_dirs", "old_stps"].map((name) => [name, places.map((_, i) => ({ tensor: `0.${name}.${i}` }))]);
  expect(document.state["0"]).toEqual({
    func_evals: scalars.func_evals,
    n_iter: scalars.n_iter,
    t: scalars.t,
    H_diag: scalars.H_diag,
    ro: places.map((place) => scalars[`ro_${place}`]),
    d: { tensor: "0.d" },
    prev_flat_grad: { tensor: "0.prev_flat_grad" },
    prev_loss: null,
    ...Object.fromEntries(lists),
  });
  for (const name of ["d", "prev_flat_grad"]) expect(floats(tensors.get(`0.${name}`)!)).toEqual(flat(name));
  for (const name of ["old_dirs", "old_stps"]) {
    for (const [i, place] of places.entries()) {
      const tensor = tensors.get(`0.${name}.${i}`)!;
      expect(tensor.shape).toEqual([flat("d").length]);
      expect(floats(tensor)).toEqual(past(name, place));
    }
  }
});

test("a stateless optimizer has no state", async () => {
  const { document, tensors } = await exported(await trained({ optimizer: { type: "sgd" } }));
  expect([document.state, tensors.size]).toEqual([{}, 0]);
});

test("groups have their options, the rate of the next step and what it started from; what is frozen is in none", async () => {
  const { document } = await exported(
    await trained({
      optimizer: { type: "asgd", lr: 0.1, lambd: 0.01 },
      parameter_groups: [
        { parameters: "2.bias", lr: 0.4, weight_decay: 0.5, lr_scale: 0.5 },
        { parameters: "0.bias", freeze: true },
      ],
      schedule: { type: "step", step_size: 4, gamma: 0.5 },
    }),
  );
  expect(document.param_groups).toMatchObject([
    { lr: 0.0125, initial_lr: 0.1, weight_decay: 0, params: [0, 2] },
    { lr: 0.025, initial_lr: 0.2, weight_decay: 0.5, params: [3] },
  ]);
  expect(Object.keys(document.state)).toEqual(["0", "2", "3"]);
  // Of ASGD each group has its own: the last step was made at 0.025 and 0.05.
  const eta = (lr: number) => lr / (1 + 0.01 * lr * STEPS) ** 0.75;
  expect(document.state["0"].eta).toBeCloseTo(eta(0.025), 12);
  expect(document.state["3"].eta).toBeCloseTo(eta(0.05), 12);
  expect(document.parameter_names["1"]).toBe("0.bias");
});

test("a momentum that is cycled is that of the next step, and the schedule's rates have no other beginning", async () => {
  const schedule = { type: "cyclic", base_lr: 0.01, max_lr: 0.05, step_size_up: 8 };
  const { document } = await exported(await trained({ optimizer: { type: "adam" }, schedule }));
  const [{ lr, betas, initial_lr: initial }] = document.param_groups;
  expect(lr).toBeCloseTo(0.03, 12);
  expect(betas).toEqual([expect.closeTo(0.85, 12), 0.999]);
  expect(initial).toBeUndefined();
});

describe("is refused", () => {
  const refusal = async (changes: Record<string, unknown>, query = "torch_optimizer") => {
    const { id, result } = await trained(changes);
    const { status, body } = await service.call("GET", `/v1/jobs/${id}/checkpoints/${result!.steps}?format=${query}`);
    return [status, body.code, body.errors?.[0].pointer, body.errors?.[0].message];
  };
  const all = [...Object.keys(KEPT), "lbfgs", "muon"].sort().join(", ");

  test("for what torch.optim does not have", async () => {
    expect(await refusal({ optimizer: { type: "lion" } })).toEqual([
      400,
      "invalid_parameter",
      "?format",
      `must be safetensors for this job: torch.optim does not have lion; it has ${all}`,
    ]);
    const keras = await refusal({ optimizer: { type: "adam", dialect: "keras" } }, "torch_optimizer_tensors");
    expect(keras).toMatchObject([400, "invalid_parameter", "?format", /does not have adam in dialect keras/]);
  });

  test("for Muon with vectors, which PyTorch's does not take; without them it is exported", async () => {
    expect((await refusal({ optimizer: { type: "muon" } }))[3]).toBe(
      "must be safetensors for this job: torch.optim.Muon does not take 0.bias, which is 8",
    );
    const parameter_groups = [{ parameters: "*.bias", freeze: true }];
    const { document } = await exported(await trained({ optimizer: { type: "muon" }, parameter_groups }));
    expect(document.param_groups[0]).not.toHaveProperty("fallback");
    expect(document.state).toEqual({
      0: { momentum_buffer: { tensor: "0.momentum_buffer" } },
      2: { momentum_buffer: { tensor: "2.momentum_buffer" } },
    });
  });

  test("for a checkpoint or a format that does not exist", async () => {
    const { id } = await trained({});
    for (const format of ["torch_optimizer", "torch_optimizer_tensors"])
      expect((await service.call("GET", `/v1/jobs/${id}/checkpoints/5?format=${format}`)).status).toBe(404);
    const { status, body } = await service.call("GET", `/v1/jobs/${id}/checkpoints/12?format=pickle`);
    expect([status, body.errors[0].pointer]).toEqual([400, "?format"]);
  });
});

test("the client reads both parts", async () => {
  // All of it is in a group: the optimizer itself has nothing, and PyTorch knows of no such group.
  const parameter_groups = [{ parameters: "*", weight_decay: 0 }];
  const { id } = await trained({ optimizer: { type: "adamw" }, parameter_groups });
  const { port } = service.app.server.address() as { port: number };
  const client = new Client({ url: `http://127.0.0.1:${port}` });
  const document = await client.getTorchOptimizer(id, STEPS);
  expect(document.param_groups).toMatchObject([{ weight_decay: 0, params: [0, 1, 2, 3] }]);
  expect(document.state["0"]).toMatchObject({ step: STEPS, exp_avg: { tensor: "0.exp_avg" } });
  const { tensors } = readSafetensors(await client.getTorchOptimizerTensors(id, STEPS));
  expect(tensors.get("0.exp_avg")!.shape[0]).toBe(8);
});
