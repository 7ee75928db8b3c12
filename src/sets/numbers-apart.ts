/*
 * Values of one form: the same objects and lists, with other numbers in them. A form is kept once,
 * and of each value only its numbers. The encoders of the models of a set are such values.
 */

/** A value whose numbers are left out: where it has one, the form has `0`. */
export type Form = unknown;

/** The forms of the values so far. */
export class Forms {
  readonly all: Form[] = [];
  readonly #known = new Map<string, number>();
  #last = -1;

  /** The number of the value's form, and the value's numbers. */
  take(value: unknown): { form: number; numbers: number[] } {
    const numbers: number[] = [];
    if (this.#last >= 0 && collect(this.all[this.#last], value, numbers)) return { form: this.#last, numbers };
    numbers.length = 0;
    const form = without(value, numbers);
    const text = JSON.stringify(form);
    const known = this.#known.get(text) ?? this.all.push(form) - 1;
    this.#known.set(text, known);
    this.#last = known;
    return { form: known, numbers };
  }
}

/** The value that `Forms` took apart. */
export function together(form: Form, numbers: Float64Array): unknown {
  let at = 0;
  const fill = (part: Form): unknown => {
    if (typeof part === "number") return numbers[at++];
    if (Array.isArray(part)) return part.map(fill);
    if (typeof part !== "object" || part === null) return part;
    return Object.fromEntries(Object.entries(part).map(([name, member]) => [name, fill(member)]));
  };
  return fill(form);
}

function without(value: unknown, numbers: number[]): Form {
  if (typeof value === "number") {
    numbers.push(value);
    return 0;
  }
  if (Array.isArray(value)) return value.map((item) => without(item, numbers));
  if (typeof value !== "object" || value === null) return value;
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return Object.fromEntries(members.map(([name, member]) => [name, without(member, numbers)]));
}

/** Adds the numbers of a value of this form. False: it has another form. */
function collect(form: Form, value: unknown, numbers: number[]): boolean {
  if (typeof value === "number") {
    numbers.push(value);
    return typeof form === "number";
  }
  if (typeof value !== "object" || value === null) return form === value;
  if (typeof form !== "object" || form === null) return false;
  if (Array.isArray(value)) {
    if (!Array.isArray(form) || form.length !== value.length) return false;
    for (let i = 0; i < value.length; i++) if (!collect(form[i], value[i], numbers)) return false;
    return true;
  }
  if (Array.isArray(form)) return false;
  const [members, given] = [form as Record<string, unknown>, value as Record<string, unknown>];
  let count = 0;
  for (const name in given) {
    if (given[name] === undefined) continue;
    count++;
    if (!Object.hasOwn(members, name) || !collect(members[name], given[name], numbers)) return false;
  }
  return count === Object.keys(members).length;
}
