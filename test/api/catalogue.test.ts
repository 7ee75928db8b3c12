import { afterAll, beforeAll, expect, test } from "vitest";
import { detectors } from "../../src/engine/detectors/registry.generated.ts";
import { containers } from "../../src/engine/plan/containers.ts";
import { specLayers } from "../../src/contract/schema/layers.ts";
import { losses } from "../../src/engine/losses/registry.generated.ts";
import { optimizers } from "../../src/engine/optimizers/registry.generated.ts";
import { schedules } from "../../src/engine/schedules/registry.generated.ts";
import type { Hyperparameter, OptimizerEntry } from "../../src/contract/catalogue.ts";
import { startService, type Service } from "./service.ts";

let service: Service;
beforeAll(async () => {
  service = await startService();
});
afterAll(() => service.stop());

/** What a spec can name where layers stand. */
const named = Object.values({ ...specLayers, ...containers }).sort((one, other) => (one.type < other.type ? -1 : 1));

const registries = {
  optimizers,
  layers: Object.fromEntries(named.map((layer) => [layer.type, layer])),
  losses,
  schedules,
  detectors,
};

/** The types of a registry that a spec can name; its other keys are dialects of them. */
const typesOf = (registry: object) =>
  Object.entries(registry).flatMap(([key, { type, internal }]: [string, { type: string; internal?: boolean }]) =>
    key === type && !internal ? [type] : [],
  );

test.each(Object.entries(registries))(
  "%s: all are listed and each can be read, with all its options",
  async (kind, registry) => {
    const { body } = await service.call("GET", `/v1/${kind}`);
    expect(body).toMatchObject({ has_more: false, next: null });
    expect(body.data.map(({ type }: OptimizerEntry) => type)).toEqual(typesOf(registry));
    for (const entry of body.data as OptimizerEntry[]) {
      expect((await service.call("GET", `/v1/${kind}/${entry.type}`)).body).toEqual(entry);
      const { options } = registry[entry.type as keyof typeof registry] as { options: object };
      expect(entry.hyperparameters.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(options)));
    }
  },
);

test("an option has a description, its values and its default", async () => {
  const { body } = await service.call("GET", "/v1/optimizers/adam");
  const option = (name: string) => body.hyperparameters.find((found: Hyperparameter) => found.name === name);
  const nothing = { min: null, max: null, above: null, below: null, choices: null, of: null, length: null };
  expect(option("lr")).toEqual({
    ...nothing,
    name: "lr",
    type: "number",
    required: false,
    default: 0.001,
    min: 0,
    description: "Learning rate.",
  });
  expect(option("betas")).toMatchObject({ type: "numbers", length: 2, default: [0.9, 0.999], min: 0, below: 1 });
  expect(body.formula).toContain("β₁");
  expect(body.source).toContain("torch.optim.Adam");

  const schedule = (await service.call("GET", "/v1/schedules/cosine_annealing")).body;
  expect(schedule.hyperparameters).toMatchObject([
    { name: "t_max", required: false, default: null, type: "integer", min: 1 },
    { name: "eta_min" },
    { name: "interval", choices: ["step", "epoch"], default: "step" },
    { name: "warmup_steps", default: 0 },
  ]);
});

test("an optimizer lists the state that it keeps, and the options that add to it", async () => {
  const { body: adam } = await service.call("GET", "/v1/optimizers/adam");
  expect(adam).toMatchObject({ state_bytes_per_parameter: 8, evaluates_other_weights: false });
  expect(adam.state).toEqual([
    { name: "exp_avg", initial: 0, option: null },
    { name: "exp_avg_sq", initial: 0, option: null },
    { name: "max_exp_avg_sq", initial: 0, option: "amsgrad" },
  ]);
  const { body: sgd } = await service.call("GET", "/v1/optimizers/sgd");
  expect(sgd.state).toEqual([{ name: "momentum_buffer", initial: 0, option: "momentum" }]);
  expect(sgd.state_bytes_per_parameter).toBe(0);
  const { body: adafactor } = await service.call("GET", "/v1/optimizers/adafactor");
  expect(adafactor.state.map(({ name }: { name: string }) => name)).toEqual(["row_var", "col_var", "variance"]);
  expect(adafactor.state_bytes_per_parameter).toBe(0);
  const { body: free } = await service.call("GET", "/v1/optimizers/schedule_free_adamw");
  expect(free).toMatchObject({ evaluates_other_weights: true, state: [{ name: "z", initial: "parameter" }, {}] });
});

test("an optimizer lists its forms in other dialects", async () => {
  const { body } = await service.call("GET", "/v1/optimizers/rmsprop");
  expect(body.dialects).toMatchObject([{ dialect: "keras" }, { dialect: "optax" }]);
  const [keras, optax] = body.dialects as OptimizerEntry["dialects"];
  expect(keras.hyperparameters.map(({ name }) => name)).toEqual(
    expect.arrayContaining(["learning_rate", "rho", "epsilon"]),
  );
  expect(optax.hyperparameters).toContainEqual(expect.objectContaining({ name: "learning_rate", required: true }));
  expect((await service.call("GET", "/v1/optimizers/muon")).body.dialects).toEqual([]);
});

test("lists have pages like any other", async () => {
  const first = (await service.call("GET", "/v1/optimizers?limit=2")).body;
  expect(first.data).toHaveLength(2);
  expect(first).toMatchObject({ has_more: true, next: first.data[1].type });
  const rest = (await service.call("GET", `/v1/optimizers?after=${first.next}`)).body;
  expect([...first.data, ...rest.data].map(({ type }) => type)).toEqual(typesOf(optimizers));
  expect((await service.call("GET", "/v1/optimizers?limit=0")).body.errors).toMatchObject([{ pointer: "?limit" }]);
});

test("an unknown type is a 404 that names the known ones", async () => {
  const { status, body } = await service.call("GET", "/v1/optimizers/adamm");
  expect({ status, code: body.code }).toEqual({ status: 404, code: "not_found" });
  expect(body.detail).toMatch(/^There is no optimizer "adamm"; did you mean "adam"\? Known: (\w+, )*adam, /);
  expect((await service.call("GET", "/v1/losses/zzzzzzzz")).body.detail).toMatch(
    /"zzzzzzzz"\. Known: bce, bce_with_logits, /,
  );
  expect((await service.call("POST", "/v1/layers/relu")).status).toBe(405);
});
