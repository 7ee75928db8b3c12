import type { Graph, Node } from "./graph.ts";
import { LINE } from "./memory.ts";
import { layers } from "../layers/registry.generated.ts";
import type { Needs, Operand } from "../layers/layer.ts";
import { size } from "../member/shape.ts";

/*
 * Where values, their gradients and what layers save lie while samples pass through the network.
 *
 * Each thread takes its slab of samples through all layers without meeting the others. So what only
 * this pass reads lies in an arena of the thread's own, where memory is used again once its content
 * is dead. What is read over the whole batch (by weight gradients, by mixing stages and by
 * observations) lies outside the arenas, in the order of the samples, and lives to the end of the
 * step.
 *
 * Times: node i runs forward at time i, the loss at time n, node i backward at time 2 n − i, and
 * whatever reads the whole batch at time FOREVER. A layer that may work in place gets its input's
 * buffer for its output, and its output gradient's for its input gradient, if nobody reads what is
 * overwritten.
 */

/** A buffer, for one sample and for all. */
export interface Buffer {
  /** Elements of a sample. */
  readonly size: number;
  /** Whether it holds the whole batch; else it is in the arenas. */
  readonly whole: boolean;
  /** Bytes from the beginning of the region of whole buffers, or of a thread's arena. */
  readonly offset: number;
}

/** The buffers of one way through the network, by numbers into `buffers`. */
export interface PassPlan {
  /** Samples of a thread: thread t has those from t × rows on. */
  readonly rows: number;
  readonly buffers: readonly Buffer[];
  /** The buffer of each value. */
  readonly values: readonly number[];
  /** The buffer of each value's gradient; −1 where none is needed. */
  readonly gradients: readonly number[];
  /**
   * For each node, where it writes the gradient of each of its inputs. That is not the value's own
   * buffer if another node has written there before: then it is added to it.
   */
  readonly contributions: readonly (readonly Contribution[])[];
  /** The buffer of what each node saves; −1: nothing. */
  readonly saved: readonly number[];
  readonly arenaBytes: number;
  readonly wholeBytes: number;
}

export interface Contribution {
  /** −1: no gradient is wanted. */
  readonly buffer: number;
  /** Whether it is added to the gradient of the value afterwards. */
  readonly added: boolean;
}

export interface PassOptions {
  readonly rows: number;
  readonly threads: number;
  /** The nodes that have parameters which learn. Null: a forward pass alone. */
  readonly learning: ReadonlySet<number> | null;
  /** Nodes whose outputs are read after the step. */
  readonly watched?: ReadonlySet<number>;
  /** Whether the gradients of the data's inputs are wanted too. Default: no. */
  readonly derivesInputs?: boolean;
}

const FOREVER = Infinity;

const EVERYTHING: readonly Operand[] = ["input", "output", "saved"];
const NOTHING: readonly Operand[] = [];

/** A stretch of memory before it has a place. */
interface Wanted {
  readonly size: number;
  begin: number;
  end: number;
}

export function planPass(graph: Graph, options: PassOptions): PassPlan {
  return new PassPlanner(graph, options).plan();
}

class PassPlanner {
  readonly #graph: Graph;
  readonly #options: PassOptions;
  readonly #wanted: Wanted[] = [];
  /** For each value, the nodes that take it, with the position among their inputs. */
  readonly #readers: { node: number; position: number }[][];
  readonly #makers = new Map<number, number>();
  /** The values whose gradient is needed. */
  readonly #derived: boolean[];
  readonly #needs: readonly (Needs & { readonly mixes: boolean })[];
  readonly #end: number;

  constructor(graph: Graph, options: PassOptions) {
    this.#graph = graph;
    this.#options = options;
    this.#end = graph.nodes.length;
    this.#readers = graph.values.map(() => []);
    graph.nodes.forEach(({ inputs, output }, node) => {
      inputs.forEach((value, position) => this.#readers[value].push({ node, position }));
      this.#makers.set(output, node);
    });
    this.#derived = graph.values.map(({ type }) => (options.derivesInputs ?? false) && type === "float32");
    graph.nodes.forEach(({ inputs, output }, node) => {
      const { learning } = options;
      this.#derived[output] = learning !== null && (learning.has(node) || inputs.some((value) => this.#derived[value]));
    });
    this.#needs = graph.nodes.map((node, i) => this.#needsOf(node, i));
  }

  plan(): PassPlan {
    const values = this.#planValues();
    const saved = this.#graph.nodes.map((node, i) => this.#planSaved(node, i));
    const { gradients, contributions } = this.#planGradients();
    return { rows: this.#options.rows, values, gradients, contributions, saved, ...this.#place() };
  }

  #want(elements: number, begin: number, end: number): number {
    return this.#wanted.push({ size: elements, begin, end }) - 1;
  }

  /** When node `node` runs backward. */
  #backward(node: number): number {
    return 2 * this.#end - node;
  }

  /** Until when a node reads one of its operands. */
  #until(node: number, operand: Operand): number {
    const { backward, gradient, mixes } = this.#needs[node];
    if (mixes || gradient.includes(operand)) return FOREVER;
    return backward.includes(operand) ? this.#backward(node) : node;
  }

  /** What of a node is read after its forward pass. */
  #needsOf({ member, inputs, shape }: Node, node: number): Needs & { readonly mixes: boolean } {
    const { learning } = this.#options;
    const declared = layers[member.type].needs ?? { backward: EVERYTHING, gradient: EVERYTHING };
    const prepares = learning?.has(node) && layers[member.type].preparesGradient;
    const goesBack = prepares || (learning !== null && inputs.some((value) => this.#derived[value]));
    return {
      backward: goesBack ? declared.backward : NOTHING,
      gradient: learning?.has(node) ? declared.gradient : NOTHING,
      mixes: learning !== null && shape.mixes !== undefined,
    };
  }

  #planValues(): number[] {
    const { values, nodes, output } = this.#graph;
    const buffers: number[] = [];
    values.forEach((value, number) => {
      const maker = this.#makers.get(number);
      const own = maker === undefined ? -1 : this.#until(maker, "output");
      const read = this.#readers[number].map(({ node }) => this.#until(node, "input"));
      const watched = maker !== undefined && this.#options.watched?.has(maker) ? FOREVER : 0;
      // The records of an evaluation read the prediction after the loss.
      const end = Math.max(own, ...read, watched, number === output ? this.#end : 0);
      const over = maker === undefined ? null : this.#overwritten(nodes[maker], maker);
      if (over === null) buffers.push(this.#want(size(value.shape), maker ?? -1, end));
      else {
        const buffer = buffers[over];
        this.#wanted[buffer].end = Math.max(this.#wanted[buffer].end, end);
        buffers.push(buffer);
      }
    });
    return buffers;
  }

  /** The value whose buffer a node may take for its output. Null: none. */
  #overwritten({ member, inputs }: Node, node: number): number | null {
    if (!layers[member.type].inPlace) return null;
    const [input] = inputs;
    const maker = this.#makers.get(input);
    const readsInput = (reader: { node: number }) => reader.node === node || this.#until(reader.node, "input") < node;
    if (this.#until(node, "input") > node || !this.#readers[input].every(readsInput)) return null;
    if (input === this.#graph.output || (maker === undefined && this.#readers[input].length > 1)) return null;
    if (maker !== undefined && (this.#until(maker, "output") > maker || this.#options.watched?.has(maker))) return null;
    return input;
  }

  #planSaved({ shape: { saved = 0 } }: Node, node: number): number {
    if (saved === 0) return -1;
    return this.#want(saved, node, this.#until(node, "saved"));
  }

  #planGradients(): Pick<PassPlan, "gradients" | "contributions"> {
    const { nodes, values, output } = this.#graph;
    const gradients = values.map(() => -1);
    const contributions = nodes.map(({ inputs }): Contribution[] => inputs.map(() => ({ buffer: -1, added: false })));
    if (this.#options.learning === null) return { gradients, contributions };
    if (this.#derived[output]) gradients[output] = this.#wantGradient(output, this.#end);
    for (let node = nodes.length - 1; node >= 0; node--) {
      if (gradients[nodes[node].output] === -1) continue;
      nodes[node].inputs.forEach((value, position) => {
        if (!this.#derived[value]) return;
        const first = gradients[value] === -1;
        const at = this.#backward(node);
        if (!first) {
          contributions[node][position] = { buffer: this.#want(size(values[value].shape), at, at), added: true };
          return;
        }
        const over = this.#overwrittenGradient(node, value) ? gradients[nodes[node].output] : -1;
        gradients[value] = over === -1 ? this.#wantGradient(value, at) : over;
        if (over !== -1) {
          const buffer = this.#wanted[over];
          buffer.end = Math.max(buffer.end, this.#gradientUntil(value));
        }
        contributions[node][position] = { buffer: gradients[value], added: false };
      });
    }
    return { gradients, contributions };
  }

  #wantGradient(value: number, from: number): number {
    return this.#want(size(this.#graph.values[value].shape), from, this.#gradientUntil(value));
  }

  /** Until when the gradient of a value is read: by the node that makes the value. */
  #gradientUntil(value: number): number {
    const maker = this.#makers.get(value);
    if (maker === undefined) return FOREVER;
    const mixes = this.#graph.nodes[maker].shape.mixes !== undefined;
    return mixes || this.#options.learning!.has(maker) ? FOREVER : this.#backward(maker);
  }

  /**
   * Whether the gradient of `value`, an input of `node`, may be written over that of its output.
   */
  #overwrittenGradient(node: number, value: number): boolean {
    const { member, output } = this.#graph.nodes[node];
    if (!layers[member.type].inPlace || this.#readers[value].length > 1) return false;
    return this.#gradientUntil(output) <= this.#backward(node);
  }

  /**
   * Gives everything a place: whole buffers one behind the other, the others where there is room.
   */
  #place(): Pick<PassPlan, "buffers" | "arenaBytes" | "wholeBytes"> {
    const { rows, threads } = this.#options;
    const arena = new Arena();
    let wholeBytes = 0;
    const offsets = new Map<Wanted, number>();
    const bytesOf = (wanted: Wanted, samples: number) => Math.ceil((wanted.size * samples * 4) / LINE) * LINE;
    for (const wanted of this.#wanted.toSorted((one, other) => one.begin - other.begin)) {
      if (wanted.end === FOREVER) {
        offsets.set(wanted, wholeBytes);
        wholeBytes += bytesOf(wanted, rows * threads);
      } else offsets.set(wanted, arena.take(bytesOf(wanted, rows), wanted.begin, wanted.end));
    }
    const buffers = this.#wanted.map((wanted) => {
      return { size: wanted.size, whole: wanted.end === FOREVER, offset: offsets.get(wanted)! };
    });
    return { buffers, wholeBytes, arenaBytes: arena.bytes };
  }
}

/** Hands out stretches by first fit, in the order in which they are first used. */
class Arena {
  bytes = 0;
  /** Those in use, by address. */
  #used: { begin: number; end: number; until: number }[] = [];

  take(bytes: number, from: number, until: number): number {
    this.#used = this.#used.filter((stretch) => stretch.until >= from);
    let begin = 0;
    let place = 0;
    for (; place < this.#used.length && this.#used[place].begin - begin < bytes; place++) begin = this.#used[place].end;
    this.#used.splice(place, 0, { begin, end: begin + bytes, until });
    this.bytes = Math.max(this.bytes, begin + bytes);
    return begin;
  }
}

/** The address of a buffer's sample 0, good for the samples of thread `thread`. */
export function addressOf(pass: PassPlan, region: number, thread: number, number: number): number {
  if (number === -1) return 0;
  const { size: elements, whole, offset } = pass.buffers[number];
  if (whole) return region + offset;
  return region + pass.wholeBytes + thread * pass.arenaBytes + offset - thread * pass.rows * elements * 4;
}

/** Bytes of a pass for all threads. */
export function passBytes(pass: PassPlan, threads: number): number {
  return pass.wholeBytes + threads * pass.arenaBytes;
}
