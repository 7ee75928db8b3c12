import { hash } from "node:crypto";
import { COLUMN_INPUTS, LayerFault, type LayerShape, type LayerType, type Part, type Value } from "../layers/layer.ts";
import { layers } from "../layers/registry.generated.ts";
import { shapeText, size } from "../member/shape.ts";
import type { Member } from "../settings.ts";
import { isContainer, joinsInputs } from "./containers.ts";
import type { PlanFault } from "./faults.ts";
import { MAX_MEMORY_BYTES } from "./memory.ts";
import { choiceText, join, nameOf, pathFault } from "./names.ts";

/*
 * From the spec's tree of layers to a flat list of nodes, each with its shapes.
 *
 * A node is a layer with its inputs and its output, which are numbers of values. Containers and
 * composite layers are expanded here: what comes after knows nodes only. The list is in an order in
 * which every value is made before it is used.
 *
 * A layer takes the value before it, or the values that its `inputs` name: layers that stand
 * earlier in its own list or in a list around it, or inputs of the data.
 *
 * A node's path is made of the names around it, as PyTorch names the parameters of nested modules:
 * `3.shortcut.0`. Random numbers hang on the path. A layer at the top has its place in the list as
 * its stream, and its parameters are counted. Everything else has a stream of its own that follows
 * from its path, so that it does not move when another layer is inserted.
 */

export interface Node {
  readonly path: string;
  /** Where the spec says so (RFC 6901). */
  readonly pointer: string;
  /** With inferred options filled in. */
  readonly member: Member;
  /** Numbers of values. */
  readonly inputs: readonly number[];
  readonly output: number;
  readonly shape: LayerShape;
  /** Null unless the node is a layer at the top of the model: its place there. */
  readonly top: number | null;
}

export interface Graph {
  /** The inputs of the data come first. */
  readonly values: readonly Value[];
  readonly nodes: readonly Node[];
  /** The value that the loss looks at. */
  readonly output: number;
  /** The model's layers as the spec has them, with names and inferred options filled in. */
  readonly layers: readonly Member[];
}

export interface NamedValue extends Value {
  readonly name: string;
}

/** The api plans on its event loop. So many layers take 8 to 30 ms there (bench/hostile.ts). */
const MAX_NODES = 1024;
const MAX_DEPTH = 12;

/**
 * `wanted` is the number of outputs that the loss asks of the last layer that does not keep shapes.
 * Null, after a fault was added to `faults`, where a layer does not fit: no shape is known after
 * it.
 */
export function buildGraph(
  members: readonly Member[],
  inputs: readonly NamedValue[],
  wanted: number,
  faults: PlanFault[],
): Graph | null {
  const builder = new GraphBuilder(inputs, faults);
  try {
    return builder.build(members, wanted);
  } catch (error) {
    if (!(error instanceof Stop)) throw error;
    return null;
  }
}

/** A fault was added, and nothing can be said of what follows. */
class Stop extends Error {}

/** The names that `inputs` may use, from the inside out. */
interface Scope {
  readonly names: Map<string, number>;
  readonly around: Scope | null;
}

/** Where in the tree the builder is. */
interface Position {
  readonly path: string;
  readonly pointer: string;
  readonly depth: number;
  readonly top: number | null;
  readonly scope: Scope;
}

class GraphBuilder {
  readonly #values: Value[];
  readonly #nodes: Node[] = [];
  readonly #inputs: Scope;
  readonly #faults: PlanFault[];

  constructor(inputs: readonly NamedValue[], faults: PlanFault[]) {
    this.#values = inputs.map(({ shape, type, categories = null, columns }) => ({ shape, type, categories, columns }));
    this.#inputs = { names: new Map(inputs.map(({ name }, i) => [name, i])), around: null };
    this.#faults = faults;
  }

  build(members: readonly Member[], wanted: number): Graph {
    const at = { path: "", pointer: "/model/layers", depth: 0, top: null, scope: this.#inputs };
    const { output, layers } = this.#sequence(members, at, 0, wanted);
    return { values: this.#values, nodes: this.#nodes, output, layers };
  }

  /** Layers one after another, from value `input` on. */
  #sequence(
    members: readonly Member[],
    at: Position,
    input: number,
    wanted: number | null,
  ): { output: number; layers: Member[] } {
    if (at.depth > MAX_DEPTH) this.#stop(at.pointer, `is more than ${MAX_DEPTH} levels deep`);
    const scope = { names: new Map<string, number>(), around: at.scope };
    let output = input;
    const last = members.findLastIndex(({ type }) => !layers[type]?.keepsShape);
    const made = members.map((member, i) => {
      const name = nameOf(member, i);
      const pointer = `${at.pointer}/${i}`;
      const top = at.depth === 0 ? i : null;
      const path = join(at.path, name);
      const tooLong = pathFault(path);
      if (tooLong !== null) this.#stop(`${pointer}/name`, tooLong);
      const position = { path, pointer, depth: at.depth, top, scope };
      const one = this.#member(member, position, output, i === last ? wanted : null);
      output = one.output;
      scope.names.set(name, output);
      return { ...one.member, name };
    });
    return { output, layers: made };
  }

  #member(member: Member, at: Position, before: number, wanted: number | null): { output: number; member: Member } {
    const inputs = this.#inputsOf(member, at, before);
    this.#checkCount(member, inputs.length, at);
    if (isContainer(member.type)) return this.#container(member, at, inputs, wanted);
    const type = layers[member.type];
    const values = inputs.map((input) => this.#values[input]);
    this.#checkTypes(type, values, at);
    const inferred = this.#guarded(at, () =>
      type.expand ? this.#expand(type, member, at, inputs, wanted) : this.#node(type, member, at, inputs, wanted),
    );
    return { output: inferred.output, member: { ...member, ...inferred.inferred } };
  }

  /** Turns a LayerFault into a fault of the spec. */
  #guarded<T>(at: Position, make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (!(error instanceof LayerFault)) throw error;
      const { option, message } = error;
      return this.#stop(option === null ? at.pointer : `${at.pointer}/${option}`, message);
    }
  }

  #stop(pointer: string, message: string): never {
    this.#faults.push({ pointer, message });
    throw new Stop();
  }

  #node(
    type: LayerType,
    member: Member,
    at: Position,
    inputs: readonly number[],
    wanted: number | null,
  ): { output: number; inferred: LayerShape["inferred"] } {
    if (this.#nodes.length === MAX_NODES) this.#stop("/model/layers", `makes more than ${MAX_NODES} layers`);
    const values = inputs.map((input) => this.#values[input]);
    const shape = type.shape(member, values, wanted);
    if (size(shape.output) * 4 > MAX_MEMORY_BYTES) {
      const message = `gives ${shapeText(shape.output)} for a sample, more than the 4 GiB of a job`;
      this.#stop(at.pointer, message);
    }
    const output = this.#values.length;
    this.#values.push({ shape: shape.output, type: "float32" });
    this.#nodes.push({
      path: at.path,
      pointer: at.pointer,
      member: { ...member, ...shape.inferred },
      inputs,
      output,
      shape,
      top: at.top,
    });
    return { output, inferred: shape.inferred };
  }

  /** A composite layer: its parts stand where it stands, and faults of theirs are its own. */
  #expand(
    type: LayerType,
    member: Member,
    at: Position,
    inputs: readonly number[],
    wanted: number | null,
  ): { output: number; inferred: LayerShape["inferred"] } {
    const values = inputs.map((input) => this.#values[input]);
    const { layers: parts, inferred } = type.expand!(member, values, wanted);
    const names = new Map(inputs.map((input, i): [string, number] => [`input${i}`, input]));
    const output = this.#parts(parts, { ...at, scope: { names, around: null } }, inputs[0]);
    return { output, inferred };
  }

  /**
   * The parts of an expansion. Named parts are below the composite, the others are the layer
   * itself.
   */
  #parts(parts: readonly Part[], at: Position, input: number): number {
    const scope = { names: new Map<string, number>(), around: at.scope };
    let output = input;
    for (const { name, label = name, ...part } of parts) {
      const path = name === null ? at.path : join(at.path, name);
      output = this.#part(part, { ...at, path, top: name === null ? at.top : null, scope }, output);
      if (label !== null) scope.names.set(label, output);
    }
    return output;
  }

  #part(part: Member, at: Position, before: number): number {
    const inputs = this.#inputsOf(part, at, before);
    if (part.type === "residual") {
      const made = this.#parts(part.layers as readonly Part[], at, inputs[0]);
      return this.#join("sum", [made, inputs[0]], {}, { ...at, top: null });
    }
    const type = layers[part.type];
    const make = type.expand ? this.#expand : this.#node;
    return make.call(this, type, part, at, inputs, null).output;
  }

  #container(
    member: Member,
    at: Position,
    inputs: readonly number[],
    wanted: number | null,
  ): { output: number; member: Member } {
    const inner = { ...at, depth: at.depth + 1, top: null };
    if (member.type === "sequential") return this.#into(member, "layers", inner, inputs, wanted);
    if (member.type === "residual") return this.#residual(member, inner, inputs);
    if (member.type === "repeat") return this.#repeat(member, inner, inputs, wanted);
    return this.#branches(member, inner, inputs, wanted);
  }

  #into(
    member: Member,
    list: string,
    at: Position,
    inputs: readonly number[],
    wanted: number | null,
  ): { output: number; member: Member } {
    const position = { ...at, pointer: `${at.pointer}/${list}` };
    const { output, layers } = this.#sequence(member[list] as readonly Member[], position, inputs[0], wanted);
    return { output, member: { ...member, [list]: layers } };
  }

  #residual(member: Member, at: Position, inputs: readonly number[]): { output: number; member: Member } {
    const main = this.#into(member, "layers", at, inputs, null);
    if (!(member.shortcut as readonly Member[] | undefined)?.length)
      return { output: this.#shortcut(main.output, inputs[0], false, at), member: main.member };
    const short = this.#into(member, "shortcut", { ...at, path: join(at.path, "shortcut") }, inputs, null);
    const output = this.#shortcut(main.output, short.output, true, at);
    return { output, member: { ...main.member, shortcut: short.member.shortcut } };
  }

  /** The sum of what the layers of a residual and its shortcut give. */
  #shortcut(main: number, short: number, isMade: boolean, at: Position): number {
    const [given, added] = [main, short].map((value) => shapeText(this.#values[value].shape));
    if (given === added) return this.#join("sum", [main, short], {}, at);
    const remedy = isMade ? "make them equal" : `give it a shortcut that makes ${given} of the input`;
    const other = isMade ? "its shortcut gives" : "its input is";
    return this.#stop(at.pointer, `has layers that give ${given}, but ${other} ${added}, and adds the two: ${remedy}`);
  }

  /** What was inferred for a layer stays in the spec only where every round agrees. */
  #repeat(
    member: Member,
    at: Position,
    inputs: readonly number[],
    wanted: number | null,
  ): { output: number; member: Member } {
    const times = member.times as number;
    const given = member.layers as readonly Member[];
    let output = inputs[0];
    let agreed: readonly Member[] = [];
    for (let round = 0; round < times; round++) {
      const position = { ...at, path: join(at.path, String(round)), pointer: `${at.pointer}/layers` };
      const made = this.#sequence(given, position, output, round === times - 1 ? wanted : null);
      output = made.output;
      agreed = round === 0 ? made.layers : agreed.map((layer, i) => common(layer, made.layers[i], given[i]));
    }
    return { output, member: { ...member, layers: agreed } };
  }

  #branches(
    member: Member,
    at: Position,
    inputs: readonly number[],
    wanted: number | null,
  ): { output: number; member: Member } {
    const type = member.type === "add" ? "sum" : "concatenation";
    const options = member.type === "add" ? {} : { dim: member.dim };
    const branches = (member.branches ?? []) as readonly (readonly Member[])[];
    if (joinsInputs(member)) return { output: this.#join(type, inputs, options, at), member };
    const made = branches.map((branch, i) => {
      const path = join(at.path, `branches.${i}`);
      const position = { ...at, path, pointer: `${at.pointer}/branches/${i}` };
      return this.#sequence(branch, position, inputs[0], member.type === "add" ? wanted : null);
    });
    const output = this.#join(
      type,
      made.map((branch) => branch.output),
      options,
      at,
    );
    return { output, member: { ...member, branches: made.map((branch) => branch.layers) } };
  }

  #join(type: string, inputs: readonly number[], options: object, at: Position): number {
    return this.#guarded(at, () => this.#node(layers[type], { type, ...options }, at, inputs, null).output);
  }

  /** The values that a layer takes: the one before it, or those that it names. */
  #inputsOf(member: Member, at: Position, before: number): readonly number[] {
    const names = (member.inputs ?? null) as readonly string[] | null;
    if (names === null) return layers[member.type]?.takesColumns ? this.#columns(at, before) : [before];
    return names.map((name, i) => {
      for (let scope: Scope | null = at.scope; scope !== null; scope = scope.around)
        if (scope.names.has(name)) return scope.names.get(name)!;
      const message = `names ${JSON.stringify(name)}, which is no earlier layer and no input of the data`;
      return this.#stop(`${at.pointer}/inputs/${i}`, `${message}; ${choiceText(namesIn(at.scope))}`);
    });
  }

  /** The inputs of a layer that takes the columns of a table. */
  #columns(at: Position, before: number): readonly number[] {
    const { names } = this.#inputs;
    const found = COLUMN_INPUTS.filter((name) => names.has(name));
    if (found.length === 0) return [before];
    if (before < names.size) return found.map((name) => names.get(name)!);
    const message = `takes ${found.join(" and ")} of the data, not what the layer before it gives: put it first, or set its inputs`;
    return this.#stop(at.pointer, message);
  }

  #checkCount(member: Member, inputs: number, at: Position): void {
    const most = mostInputs(member);
    if (inputs <= most) return;
    const remedy = most === 1 ? ": add or concat can make one of several" : "";
    this.#stop(`${at.pointer}/inputs`, `names ${inputs}, but ${member.type} takes ${most} at most${remedy}`);
  }

  #checkTypes({ type, takes = "float32", expand }: LayerType, values: readonly Value[], at: Position): void {
    if (expand !== undefined) return;
    for (const [i, value] of values.entries()) {
      const wanted = typeof takes === "string" ? takes : (takes[i] ?? takes[takes.length - 1]);
      if (value.type === wanted) continue;
      const remedy =
        wanted === "int32" ? "give it an integer input" : "put an embedding before it, which makes numbers of integers";
      this.#stop(at.pointer, `${type} takes ${wanted} values, but its input is ${value.type}: ${remedy}`);
    }
  }
}

/** The names that a layer may take. */
function namesIn(scope: Scope): string[] {
  return [...scope.names.keys(), ...(scope.around === null ? [] : namesIn(scope.around))];
}

function mostInputs(member: Member): number {
  if (isContainer(member.type)) return joinsInputs(member) ? Infinity : 1;
  return layers[member.type].mostInputs ?? 1;
}

/** The layer `one` with `given`'s value of every option in which `other` differs. */
function common(one: Member, other: Member, given: Member): Member {
  const kept = Object.entries(one).flatMap(([name, value]): [string, unknown][] => {
    if (value === other[name] || JSON.stringify(value) === JSON.stringify(other[name])) return [[name, value]];
    return name in given ? [[name, given[name]]] : [];
  });
  return { type: one.type, ...Object.fromEntries(kept) };
}

/** The stream of random numbers of what has a path of its own: at or above 2^31. */
export function streamOf(path: string): number {
  return 2 ** 31 + (hash("sha256", path, "buffer").readUInt32BE(0) >>> 1);
}

/** A node's stream of random numbers. */
export function layerStream({ top, path }: Node): number {
  return top ?? streamOf(path);
}
