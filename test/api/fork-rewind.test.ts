// Forks of jobs that detectors rewind, and forks that are rewound themselves.
import { expect, test } from "vitest";
import { ended } from "../worker/support.ts";
import { training, useForks } from "./forks.ts";

const forks = useForks();
const { fork, pausedInTheMiddle, series, spec, trained, until } = forks;

const rewinding = {
  optimizer: { type: "sgd", lr: 0.003, momentum: 0.9 },
  schedule: { type: "multi_step", milestones: [150, 170, 190], gamma: 8 },
  detectors: {
    diverging: { policy: "rewind", rewind: { every_steps: 25, window: 50, lr_factor: 0.3, max: 6 } },
  },
};

test("a fork of a rewound job takes over its changes or repeats them; with another rate it has none", async () => {
  const { parent, paused, steps } = await trained(rewinding);
  const { changes } = parent.result!;
  expect(changes.length).toBeGreaterThan(0);
  expect(changes[0].step).toBeGreaterThan(100);
  for (const step of [100, steps[0]]) {
    const { id } = await fork(paused, { step });
    expect((await until(id, ended)).result).toEqual(parent.result);
  }
  const { id } = await fork(paused, { step: steps[0], overrides: { optimizer: { lr: 1e-6 } } });
  expect((await until(id, ended)).result!.changes).toEqual([]);
});

test("an unchanged fork is rewound to before where it began, as its parent is", async () => {
  // It trains for a second before that, so that there is time to pause it.
  const late = {
    ...rewinding,
    training: { ...training, epochs: 220 },
    schedule: { ...rewinding.schedule, milestones: [6000, 6020, 6040] },
    detectors: {
      diverging: { policy: "rewind", rewind: { ...rewinding.detectors.diverging.rewind, window: 7000, max: 9 } },
    },
  };
  const { id: straight } = await forks.service.create(spec(late));
  const parent = await until(straight, ended);
  expect(parent.result!.changes[0].step).toBe(0);
  let paused: string;
  do paused = await pausedInTheMiddle(late);
  while ((await forks.service.call("GET", `/v1/jobs/${paused}/diagnosis`)).body.changes.length > 0);
  const step = (await forks.service.call("GET", `/v1/jobs/${paused}`)).body.progress.last_checkpoint_step;
  const { id } = await fork(paused, { step, overrides: { resources: { threads: 2 } } });
  const job = await until(id, ended);
  expect(job.result).toEqual(parent.result);
  expect(await series(id)).toEqual(await series(parent.id));
});

test("a fork is not rewound beyond the step where it began, and starts there again", async () => {
  const { paused, steps } = await trained();
  const overrides = {
    ...rewinding,
    optimizer: { lr: 3 },
    schedule: null,
    checkpoint: { every_steps: 1, keep_last: 1 },
  };
  const { id } = await fork(paused, { step: steps[0], overrides });
  await until(id, ended);
  const { changes } = (await forks.service.call("GET", `/v1/jobs/${id}/diagnosis`)).body;
  expect(changes[0]).toMatchObject({ step: steps[0] });
  const { train_loss: loss } = await series(id);
  expect(loss.steps[0]).toBeGreaterThan(steps[0]);
});

test("neither is a fork of a fork", async () => {
  const { paused, steps } = await trained();
  const { id: child } = await fork(paused, { step: steps[0] });
  const { progress } = await until(child, ended);
  // As long as another job runs it waits, and still has what it is to begin with.
  const { id: other } = await forks.service.create(spec({ training: { epochs: 100_000, batch_size: 1 } }));
  await until(other, ({ status }) => status === "running");
  const { id } = await fork(child, { step: "final" });
  const origin = await forks.redis.hget(`{rappel}:owner:default:job:${id}`, "origin");
  expect(JSON.parse(origin!)).toMatchObject({ step: progress.step, first: progress.step });
});
