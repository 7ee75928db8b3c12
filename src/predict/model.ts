/** A trained model in the memory of a thread, with all that rows and answers need. */
import { CellReader } from "../data/columns/cell-reader.ts";
import { widthOf, type ColumnSource } from "../data/encode/apply.ts";
import type { Encoder, InputEncoding, TargetEncoding, WindowRule } from "../data/encode/encoding.ts";
import { applyWindowed } from "../data/encode/windows.ts";
import { NEXT_TOKEN } from "../data/encode/features.ts";
import type { Reading } from "../data/reading.ts";
import { Tokenizer } from "../data/text/vocabulary.ts";
import { ForwardCrew } from "../engine/crew/forward.ts";
import { kernelModule } from "../engine/kernels/kernels.ts";
import { size, type Shape } from "../engine/member/shape.ts";
import type { Member } from "../engine/settings.ts";
import type { InputArray } from "../engine/training.ts";
import { faulty } from "../contract/errors.ts";
import { answersOf, type Prediction, type ReadAnswer } from "./answers.ts";
import { Faults, RowColumns, SampleColumns, type CellRules } from "./columns.ts";
import { generate, type Continuation } from "./generate.ts";
import type { Asked, Choice, Prompt } from "./request.ts";
import { TOO_LARGE } from "./samples.ts";
import { sampleCount } from "./windows.ts";

/** What a job's record and its spec say of its model, as plain data. */
export interface ModelSource {
  readonly layers: readonly Member[];
  readonly loss: Member;
  readonly inputs: readonly InputEncoding[];
  readonly target: TargetEncoding;
  /** How rows make samples; null: each is one. */
  readonly window: WindowRule | null;
  /** How the job's table was read. */
  readonly reading: Reading;
  readonly unseen: CellRules["unseen"];
  readonly mayMiss: boolean;
  readonly weights_sha256: string;
}

/** The model of a job, and its file. */
export interface OneModel {
  readonly source: ModelSource;
  readonly file: Uint8Array;
}

/** Rows of a request, encoded for a model. */
export interface Encoded {
  readonly inputs: readonly InputArray[];
  readonly samples: number;
}

export class ServedModel {
  readonly source: ModelSource;
  readonly #crew: ForwardCrew;
  readonly #answer: ReadAnswer;
  readonly rules: CellRules;
  /** Of a model of language. */
  readonly #tokenizer: Tokenizer | null;
  /** Whether samples are tokens. */
  readonly #areTokens: boolean;

  /**
   * @param crew one that has another model of the same plan, which it gives up
   * @throws Error if the file is damaged, or of another model
   */
  constructor(source: ModelSource, file: Uint8Array, crew: ForwardCrew | null = null) {
    const { layers, loss, inputs, target, reading, unseen, mayMiss } = source;
    this.source = source;
    crew?.load(file);
    const plan = { model: { layers }, inputs, outputs: outputsOf(target) };
    this.#crew = crew ?? new ForwardCrew(kernelModule(), plan, file);
    this.#answer = answersOf(loss, target, this.#crew.plan.prediction);
    this.rules = { reader: new CellReader(reading), unseen, mayMiss };
    const [encoder] = inputs[0].encoders;
    this.#areTokens = encoder.type === "text";
    const isLanguage = encoder.type === "text" && target.column === NEXT_TOKEN;
    this.#tokenizer = isLanguage ? new Tokenizer(encoder.vocabulary) : null;
  }

  get crew(): ForwardCrew {
    return this.#crew;
  }

  get bytes(): number {
    return this.#crew.plan.memoryBytes;
  }

  get reading(): Reading {
    return this.source.reading;
  }

  get weights_sha256(): string {
    return this.source.weights_sha256;
  }

  /** The shape of what it gives for one row. */
  get prediction(): Shape {
    return this.#crew.plan.prediction;
  }

  /**
   * The predictions as JSON texts, some rows at a time. `turn` is called between them, and may
   * throw to end the work.
   * @throws Problem with every fault of the rows
   */
  async *predict(asked: Asked, { at, fold }: Choice, turn: () => void): AsyncGenerator<string[]> {
    if (fold > 0) throw faulty("invalid_spec", [{ pointer: `${at}fold`, message: "is for a set of models" }]);
    const faults = new Faults();
    const encoded = await this.encode(asked, faults, turn);
    faults.settle();
    yield* this.answers(encoded!, turn);
  }

  /** The rows as the model takes them; null if they have faults. `turn` as in `predict`. */
  async encode(asked: Asked, faults: Faults, turn: () => void): Promise<Encoded | null> {
    const inputs: InputArray[] = [];
    const columnsFor = this.#columns(asked, faults);
    const samples = sampleCount(asked, this.source.window, this.rules.reader, faults);
    for (const input of this.source.inputs) {
      inputs.push(await this.#encoded(input, columnsFor(input)));
      turn();
    }
    return this.#areSound(inputs, asked.kind, faults) ? { inputs, samples } : null;
  }

  /** Their predictions, as `predict` gives them. */
  *answers({ inputs, samples }: Encoded, turn: () => void): Generator<string[]> {
    for (const { outputs, count, width } of this.#outputs(inputs, 0, samples, turn))
      yield Array.from({ length: count }, (_, i) => JSON.stringify(this.#answer(outputs, i * width)));
  }

  /**
   * Hands predictions to `each`, in the order of the samples. `samples`: the first and the end of
   * those that follow each other. `memories`: where the inputs are encoded.
   * @throws Problem with every fault of the rows
   */
  async predictColumns(
    columns: ColumnSource,
    faults: Faults,
    memories: readonly ArrayBufferLike[],
    samples: readonly (readonly [first: number, end: number])[],
    each: (prediction: Prediction) => void,
  ): Promise<void> {
    const inputs: InputArray[] = [];
    for (const [at, input] of this.source.inputs.entries())
      inputs.push(await applyWindowed(input, columns, this.source.window, memories[at]));
    this.#areSound(inputs, "rows", faults);
    faults.settle();
    for (const [first, end] of samples)
      for (const { outputs, count, width } of this.#outputs(inputs, first, end, () => undefined))
        for (let i = 0; i < count; i++) each(this.#answer(outputs, i * width));
  }

  /** Whether rows have no faults, once they are encoded. */
  #areSound(inputs: readonly InputArray[], kind: Asked["kind"], faults: Faults): boolean {
    if (faults.any) return false;
    for (const [at, array] of inputs.entries()) checkFinite(array, this.source.inputs[at].encoders, kind, faults);
    return !faults.any;
  }

  /** The outputs for as many samples as fit at once, and how many there are of each. */
  *#outputs(inputs: readonly InputArray[], begin: number, end: number, turn: () => void) {
    const { rows } = this.#crew;
    const width = size(this.prediction);
    for (let first = begin; first < end; first += rows) {
      turn();
      const count = Math.min(rows, end - first);
      yield { outputs: this.#crew.run(inputs, first, count), count, width };
    }
  }

  /** Goes on with a text. `turn` as in `predict`. @throws Problem */
  generate(asked: Prompt, turn: () => void): Continuation {
    if (this.#tokenizer !== null) return generate(this.#crew, this.#tokenizer, asked, turn);
    throw noLanguage();
  }

  /** Samples of rows overlap; those that came as such do not. */
  async #encoded(input: InputEncoding, columns: ColumnSource): Promise<InputArray> {
    const { window } = this.source;
    if (!(columns instanceof SampleColumns)) return await applyWindowed(input, columns, window);
    if (this.#areTokens) return columns.tokens();
    const { step: _, ...apart } = await applyWindowed(input, columns, window);
    return apart;
  }

  #columns(asked: Asked, faults: Faults): (input: InputEncoding) => ColumnSource {
    if (asked.kind === "rows" && this.#tokenizer !== null)
      throw faulty("invalid_spec", [
        { pointer: "/rows", message: "are for models that predict a column: send a prompt, or tokens as inputs" },
      ]);
    if (asked.kind !== "rows") return (input) => new SampleColumns(asked, input, faults);
    const columns = new RowColumns(asked, this.source.inputs, this.rules, faults);
    return () => columns;
  }
}

export function noLanguage(): Error {
  return faulty("invalid_spec", [{ pointer: "/prompt", message: "is for a model of language: send rows or inputs" }]);
}

/** The outputs of the last layer, where the layer itself does not say. */
export function outputsOf({ classes, column }: TargetEncoding): number {
  return classes?.length ?? (typeof column === "string" ? 1 : column.length);
}

/** A number of the data may be finite, and what the encoders make of it too large for float32. */
function checkFinite(
  { values, shape, step }: InputArray,
  encoders: readonly Encoder[],
  kind: Asked["kind"],
  faults: Faults,
): void {
  if (values instanceof Int32Array || values.every(Number.isFinite)) return;
  const columns = encoders.flatMap((encoder) => Array<string>(widthOf([encoder])).fill(encoder.column));
  const width = step ?? size(shape);
  for (const [at, value] of values.entries()) {
    if (Number.isFinite(value)) continue;
    const row = Math.floor(at / width);
    const column = columns[at % width] ?? columns[0];
    faults.add(kind === "rows" ? ["rows", row, column] : ["inputs", row], TOO_LARGE);
  }
}
