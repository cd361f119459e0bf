import { endOfValue, parsed, skipSpace, valuesOf } from './partial-json.js';

/** A call as far as it has come. */
export interface ReadCall {
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
  readonly isWhole: boolean;
}

/** What of a text is said, and what is called. */
export interface ReadText {
  readonly content: string;
  readonly calls: readonly ReadCall[];
}

/** Before a call's JSON; Qwen, Hermes and their like end it with the other. Mistral's and Llama's are often left out of texts. */
const MARKS = ['<tool_call>', '[TOOL_CALLS]', '<|python_tag|>'];
const END_MARK = '</tool_call>';
/** Marks that no call follows, after which a text is no longer read for calls: a text is read again with each of its tokens. */
const MOST_OTHERS = 8;

/**
 * Reads calls of functions out of an answer, in whichever form models were taught: `<tool_call>{"name", "arguments"}</tool_call>`
 * (Qwen, Hermes), a JSON list of calls (Mistral), `{"name", "parameters"}` (Llama 3), `{"tool_calls": [...]}` (what models
 * are told that were taught none). JSON without a mark is a call only where the answer begins with it, and of a function that there is.
 *
 * @param names of functions
 * @param ended whether no more text comes: until then, what may become a call is not content
 */
export function readCalls(text: string, names: ReadonlySet<string>, ended: boolean): ReadText {
  const calls: ReadCall[] = [];
  let content = '';
  let at = 0;
  let others = 0;
  for (;;) {
    const mark = others < MOST_OTHERS ? nextMark(text, at) : undefined;
    const start = skipSpace(text, at);
    const bare = mark?.from !== start && content.trim() === '' && /[[{]/.test(text[start] ?? '');
    if (bare) {
      const read = readJson(text, start, names);
      if (read === 'undecided' && !ended) return { content, calls };
      if (typeof read === 'object') {
        calls.push(...read.calls);
        if (read.to === undefined) return { content, calls };
        // Llama 3 has semicolons between calls.
        at = skipSpace(text, read.to);
        if (text[at] === ';') at++;
        continue;
      }
    }
    if (mark === undefined) break;
    content += text.slice(at, mark.from);
    const read = readJson(text, skipSpace(text, mark.to), names);
    if (read === 'undecided' && !ended) return { content: content.trimEnd(), calls };
    if (typeof read !== 'object') {
      content += text.slice(mark.from, mark.to);
      at = mark.to;
      others++;
      continue;
    }
    calls.push(...read.calls);
    if (read.to === undefined) return { content: content.trimEnd(), calls };
    at = skipSpace(text, read.to);
    if (text.startsWith(END_MARK, at)) at += END_MARK.length;
    else if (!ended && END_MARK.startsWith(text.slice(at))) return { content: content.trimEnd(), calls };
  }
  const rest = text.slice(at);
  const held = ended ? 0 : heldBack(rest);
  content += rest.slice(0, rest.length - held);
  if (calls.length > 0 && content.trim() === '') content = '';
  return { content: calls.length > 0 ? content.trimEnd() : content, calls };
}

function nextMark(text: string, from: number): { from: number; to: number } | undefined {
  const found = MARKS.map((mark) => ({ from: text.indexOf(mark, from), mark })).filter(
    (one) => one.from >= 0,
  );
  const [first] = found.toSorted((a, b) => a.from - b.from);
  return first && { from: first.from, to: first.from + first.mark.length };
}

/** Characters at the end of a text that may become a mark, with the white space before them. */
function heldBack(text: string): number {
  const longest = Math.max(...MARKS.map(({ length }) => length)) - 1;
  for (let length = Math.min(longest, text.length); length > 0; length--) {
    const end = text.slice(text.length - length);
    if (MARKS.some((mark) => mark.startsWith(end))) return length + trailingSpace(text.slice(0, -length));
  }
  return trailingSpace(text);
}

function trailingSpace(text: string): number {
  return text.length - text.trimEnd().length;
}

type Read = { readonly calls: readonly ReadCall[]; readonly to: number | undefined };

/** Calls in JSON that begins at `from`; undefined where it is none. */
function readJson(text: string, from: number, names: ReadonlySet<string>): Read | 'undecided' | undefined {
  if (from >= text.length) return 'undecided';
  if (text[from] === '[') return readList(text, from, names);
  const values = valuesOf(text, from);
  if (values === undefined) return undefined;
  const list = values.get('tool_calls');
  if (list !== undefined) {
    if (text[list.from] !== '[') return undefined;
    const read = readList(text, list.from, names);
    return typeof read === 'object' ? { calls: read.calls, to: endOfValue(text, from) } : read;
  }
  const name = values.get('name');
  const to = endOfValue(text, from);
  if (name === undefined || name.to === undefined) {
    const others = [...values.keys()].some((key) => !/^(name|arguments|parameters|type|id)$/.test(key));
    return others || to !== undefined ? undefined : 'undecided';
  }
  const called = parsed(text.slice(name.from, name.to));
  if (typeof called !== 'string' || !names.has(called)) return undefined;
  const given = values.get('arguments') ?? values.get('parameters');
  const raw = given === undefined ? '' : text.slice(given.from, given.to ?? text.length);
  const unquoted = given?.to === undefined && raw.startsWith('"') ? '' : objectText(raw);
  const written = to !== undefined && unquoted === '' ? '{}' : unquoted;
  return { calls: [{ name: called, arguments: written, isWhole: to !== undefined }], to };
}

/** Some models write the object as a text, or nothing where there is nothing to say. */
function objectText(raw: string): string {
  if (raw === 'null') return '{}';
  const text = raw.startsWith('"') ? parsed(raw) : raw;
  return typeof text === 'string' ? text : raw;
}

function readList(text: string, from: number, names: ReadonlySet<string>): Read | 'undecided' | undefined {
  const calls: ReadCall[] = [];
  let at = skipSpace(text, from + 1);
  while (at < text.length && text[at] !== ']') {
    // Lists within lists are no calls: nothing here calls itself more than once.
    const read = text[at] === '{' ? readJson(text, at, names) : undefined;
    if (read === undefined) return calls.length > 0 ? { calls, to: endOfValue(text, from) } : undefined;
    if (read === 'undecided') return calls.length > 0 ? { calls, to: undefined } : read;
    calls.push(...read.calls);
    if (read.to === undefined) return { calls, to: undefined };
    at = skipSpace(text, read.to);
    if (text[at] === ',') at = skipSpace(text, at + 1);
  }
  if (at >= text.length) return calls.length > 0 ? { calls, to: undefined } : 'undecided';
  return calls.length > 0 ? { calls, to: at + 1 } : undefined;
}
