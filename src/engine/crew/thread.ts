import { parentPort, type MessagePort } from "node:worker_threads";
import { Aborted } from "../step/barrier.ts";
import { CrewThread } from "./crew-thread.ts";
import { collectNow } from "./garbage.ts";
import { Mail } from "./mail.ts";
import type { StartMessage, ThreadRequest } from "./messages.ts";
import { Recent } from "./recent.ts";
import { instantiateKernels, type Kernels } from "../kernels/kernels.ts";
import type { KernelChoice } from "../kernels/native.ts";
import type { Plan } from "../plan/model.ts";

/*
 * The program of a thread of the pool: it takes one job after another from its port, and does not
 * return to its event loop while it trains.
 */

/** What this thread has from its last jobs. To make it again takes longer than a small job. */
const plans = new Recent<Plan>();
const instances = new Recent<{ readonly choice: KernelChoice; readonly kernels: Kernels }>();

function planOf({ plan, planId }: StartMessage): Plan {
  const found = plan ?? plans.get(planId)!;
  plans.use(planId, found);
  return found;
}

function kernelsOf({ module, memory, memoryId, kernels: choice }: StartMessage): Kernels {
  const recent = instances.get(memoryId);
  const kernels = recent?.choice === choice ? recent.kernels : instantiateKernels(module, memory, choice);
  instances.use(memoryId, { choice, kernels });
  return kernels;
}

function work(port: MessagePort, start: StartMessage): void {
  const mail = new Mail(port);
  try {
    // The mail never asks for a turn of the event loop.
    new CrewThread(kernelsOf(start), planOf(start), start, mail).run().next();
  } catch (error) {
    if (!(error instanceof Aborted)) mail.post({ type: "failed", error });
  }
  mail.post({ type: "idle" });
}

function collect(): void {
  instances.clear();
  collectNow();
}

parentPort?.on("message", (request: ThreadRequest) => {
  if (request.type === "start") work(parentPort!, request);
  else collect();
});
