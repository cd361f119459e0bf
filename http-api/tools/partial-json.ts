/** A value in a text that has not all come yet. */
export interface PartialValue {
  readonly from: number;
  /** Undefined while more of it may come. */
  readonly to: number | undefined;
}

const isSpace = (character: string | undefined) =>
  character === ' ' || character === '\n' || character === '\r' || character === '\t';

export function skipSpace(text: string, from: number): number {
  let at = from;
  while (isSpace(text[at])) at++;
  return at;
}

/** Where the value that begins at `from` ends; undefined where it has not all come. */
export function endOfValue(text: string, from: number): number | undefined {
  if (text[from] === '"') return endOfString(text, from);
  if (text[from] !== '{' && text[from] !== '[') {
    let at = from;
    while (at < text.length && !/[\s,}\]]/.test(text[at])) at++;
    return at < text.length ? at : undefined;
  }
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const character = text[at];
    if (character === '"') {
      const end = endOfString(text, at);
      if (end === undefined) return undefined;
      at = end - 1;
    } else if (character === '{' || character === '[') depth++;
    else if ((character === '}' || character === ']') && --depth === 0) return at + 1;
  }
  return undefined;
}

function endOfString(text: string, from: number): number | undefined {
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at + 1;
  }
  return undefined;
}

/** The values of an object that begins at `from`, by their names, as far as they have come; undefined where it is none. */
export function valuesOf(text: string, from: number): Map<string, PartialValue> | undefined {
  if (text[from] !== '{') return undefined;
  const values = new Map<string, PartialValue>();
  let at = skipSpace(text, from + 1);
  while (at < text.length && text[at] !== '}') {
    if (text[at] !== '"') return undefined;
    const end = endOfString(text, at);
    if (end === undefined) return values;
    const name: unknown = parsed(text.slice(at, end));
    const colon = skipSpace(text, end);
    if (colon < text.length && text[colon] !== ':') return undefined;
    const value = skipSpace(text, colon + 1);
    if (value >= text.length) return values;
    const to = endOfValue(text, value);
    if (typeof name === 'string') values.set(name, { from: value, to });
    if (to === undefined) return values;
    at = skipSpace(text, to);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  return values;
}

/** A JSON value, or undefined. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
