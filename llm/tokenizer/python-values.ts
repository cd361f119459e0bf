import { Environment } from '@huggingface/jinja';

/** What an expression is worth. */
export interface Value {
  readonly type: string;
  readonly value: unknown;
  toString(): string;
}

/** Variables by name. */
export interface Scope {
  set(name: string, value: unknown): Value;
}

export const newScope = (): Scope => new Environment();

/** A JavaScript value as the interpreter has it. */
export function toValue(value: unknown): Value {
  return newScope().set('value', value);
}

export function itemsOf(list: Value): Value[] {
  if (!Array.isArray(list.value)) throw new Error(`${list.type} is not a list`);
  return list.value;
}

function entriesOf(mapping: Value): Map<string, Value> {
  if (!(mapping.value instanceof Map)) throw new Error(`${mapping.type} is not a dictionary`);
  return mapping.value;
}

/** As Python's str() has it. */
export function textOf(value: Value): string {
  if (value.type === 'NullValue') return 'None';
  if (value.type === 'BooleanValue') return value.value ? 'True' : 'False';
  return value.toString();
}

function numberOf(value: Value | undefined, otherwise: number): number {
  return typeof value?.value === 'number' ? value.value : otherwise;
}

const isSame = (a: Value) => (b: Value) => a.type === b.type && textOf(a) === textOf(b);

/** Without characters of a set at its ends; white space where none is given. */
export function strip(text: string, characters?: string, atStart = true, atEnd = true): string {
  const isStripped = (character: string) =>
    characters === undefined ? /\s/u.test(character) : characters.includes(character);
  let from = 0;
  let to = text.length;
  while (atStart && from < to && isStripped(text[from])) from++;
  while (atEnd && to > from && isStripped(text[to - 1])) to--;
  return text.slice(from, to);
}

const stripMethod =
  (atStart: boolean, atEnd: boolean): Method =>
  (text, [characters]) =>
    toValue(strip(textOf(text), characters && textOf(characters), atStart, atEnd));

type Method = (object: Value, args: readonly Value[]) => Value | undefined;

/** By name, then by the type of the object. What changes a list or dictionary changes it for everybody who has it. */
export const METHODS: Readonly<Record<string, Readonly<Record<string, Method>>>> = {
  append: { ArrayValue: (list, [item]) => void itemsOf(list).push(item) },
  extend: { ArrayValue: (list, [more]) => void itemsOf(list).push(...itemsOf(more)) },
  insert: { ArrayValue: (list, [at, item]) => void itemsOf(list).splice(numberOf(at, 0), 0, item) },
  reverse: { ArrayValue: (list) => void itemsOf(list).reverse() },
  index: { ArrayValue: (list, [item]) => toValue(itemsOf(list).findIndex(isSame(item))) },
  count: {
    ArrayValue: (list, [item]) => toValue(itemsOf(list).filter(isSame(item)).length),
    StringValue: (text, [part]) => toValue(textOf(text).split(textOf(part)).length - 1),
  },
  pop: {
    ArrayValue: (list, [at]) => itemsOf(list).splice(numberOf(at, -1), 1)[0],
    ObjectValue: (mapping, [key, otherwise]) => {
      const found = entriesOf(mapping).get(textOf(key));
      entriesOf(mapping).delete(textOf(key));
      return found ?? otherwise;
    },
  },
  update: {
    ObjectValue: (mapping, [more]) => {
      for (const [key, value] of entriesOf(more)) entriesOf(mapping).set(key, value);
      return undefined;
    },
  },
  setdefault: {
    ObjectValue: (mapping, [key, value]) => {
      const entries = entriesOf(mapping);
      if (!entries.has(textOf(key))) entries.set(textOf(key), value ?? toValue(null));
      return entries.get(textOf(key));
    },
  },
  strip: { StringValue: stripMethod(true, true) },
  lstrip: { StringValue: stripMethod(true, false) },
  rstrip: { StringValue: stripMethod(false, true) },
  find: { StringValue: (text, [part]) => toValue(textOf(text).indexOf(textOf(part))) },
  rfind: { StringValue: (text, [part]) => toValue(textOf(text).lastIndexOf(textOf(part))) },
  join: { StringValue: (text, [list]) => toValue(itemsOf(list).map(textOf).join(textOf(text))) },
  removeprefix: {
    StringValue: (text, [part]) =>
      toValue(textOf(text).startsWith(textOf(part)) ? textOf(text).slice(textOf(part).length) : textOf(text)),
  },
  removesuffix: {
    StringValue: (text, [part]) =>
      toValue(
        textOf(part) !== '' && textOf(text).endsWith(textOf(part))
          ? textOf(text).slice(0, -textOf(part).length)
          : textOf(text),
      ),
  },
  splitlines: {
    StringValue: (text) =>
      toValue(
        textOf(text)
          .replace(/\r?\n$/, '')
          .split(/\r?\n/),
      ),
  },
  isdigit: { StringValue: (text) => toValue(/^\d+$/.test(textOf(text))) },
  format: {
    StringValue: (text, args) => {
      let next = 0;
      return toValue(
        textOf(text).replace(/\{(\d*)\}/g, (_, at) => {
          const value = args[at === '' ? next++ : Number(at)];
          if (value === undefined) throw new Error('format() was given too few values');
          return textOf(value);
        }),
      );
    },
  },
};

/** Python's `%`, as far as texts and numbers go. */
export function formatText(format: string, operand: Value): string {
  const list = operand.type === 'TupleValue' ? itemsOf(operand) : [operand];
  let next = 0;
  return format.replace(
    /%(?:\((\w+)\))?(-?)(0?)(\d{0,3})(?:\.(\d{1,2}))?([sdifr%])/g,
    (_, name, left, zeros, width, digits, kind) => {
      if (kind === '%') return '%';
      const value = name === undefined ? list[next++] : entriesOf(operand).get(name);
      if (value === undefined) throw new Error('not enough values for a format');
      const text = converted(value, kind, digits);
      return left ? text.padEnd(Number(width)) : text.padStart(Number(width), zeros ? '0' : ' ');
    },
  );
}

function converted(value: Value, kind: string, digits: string | undefined): string {
  if (kind === 's') return textOf(value);
  if (kind === 'r') return value.type === 'StringValue' ? `'${textOf(value)}'` : textOf(value);
  if (typeof value.value !== 'number') throw new Error(`%${kind} of a ${value.type}`);
  return kind === 'f' ? value.value.toFixed(Number(digits ?? 6)) : String(Math.trunc(value.value));
}
