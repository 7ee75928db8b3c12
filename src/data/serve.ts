/**
 * What the programs of helper threads have in common (pool.ts).
 * A thread does one task at a time.
 */
import { parentPort } from "node:worker_threads";

export interface Request {
  readonly task: string;
  readonly input: unknown;
}

/** `code` and `path` are those of the error, which would be lost on the way between threads. */
export type Reply =
  | { readonly result: unknown }
  | { readonly error: Error; readonly code?: string; readonly path?: string };

export type TaskTable = Readonly<Record<string, (input: never) => unknown>>;

/** Does the tasks that this thread is given. @param done told of each */
export function serve(tasks: TaskTable, done: (request: Request, reply: Reply) => void = () => undefined): void {
  parentPort?.on("message", (request: Request) => {
    void answer(tasks, request).then((reply) => {
      parentPort?.postMessage(reply);
      done(request, reply);
    });
  });
}

async function answer(tasks: TaskTable, { task, input }: Request): Promise<Reply> {
  try {
    return { result: await tasks[task](input as never) };
  } catch (error) {
    if (!(error instanceof Error)) return { error: new Error(String(error)) };
    const { code, path } = error as NodeJS.ErrnoException;
    return { error, code, path };
  }
}
