import { randomBytes } from 'node:crypto';
import type { CallDelta, Piece } from '../piece.js';
import { type ReadCall, readCalls } from './call-reader.js';
import type { ToolRequest } from './tool-request.js';

/** An answer was restarted with the form that a strict function demands. */
export type Restart = (name: string) => AsyncIterable<Piece>;

/**
 * The pieces of an answer with calls of functions taken out of the text.
 *
 * @param restart where a function is strict: begins the answer again as a call of it, arguments held to their schema
 */
export async function* withCalls(
  pieces: AsyncIterable<Piece>,
  request: ToolRequest,
  restart: Restart,
): AsyncGenerator<Piece, void, void> {
  const names = new Set(request.functions.map(({ name }) => name));
  const strict = new Set(request.functions.flatMap(({ name, strict: is }) => (is ? [name] : [])));
  const ids: string[] = [];
  let text = '';
  let said = 0;
  let before: readonly ReadCall[] = [];
  let again: AsyncIterable<Piece> | undefined;
  for await (const piece of pieces) {
    text += piece.text;
    const read = readCalls(text, names, piece.finish !== undefined);
    const calls = read.calls.slice(0, request.most);
    if (
      request.forced === undefined &&
      before.length === 0 &&
      calls.length > 0 &&
      strict.has(calls[0].name)
    ) {
      if (read.content.length > said) yield { text: read.content.slice(said), tokens: [], finish: undefined };
      // Begun before this one is cancelled with the end of the loop: the answer has an end of its own all the time.
      again = restart(calls[0].name);
      break;
    }
    const deltas = calls.flatMap((call, index): CallDelta[] => {
      const known = before[index];
      if (known === undefined) {
        // Nine letters and digits, as Mistral's templates demand of ids.
        ids[index] = randomBytes(8).toString('hex').slice(0, 9);
        return [{ index, id: ids[index], name: call.name, arguments: call.arguments }];
      }
      const more = call.arguments.slice(known.arguments.length);
      return more === '' ? [] : [{ index, arguments: more }];
    });
    before = calls;
    const content = read.content.slice(said);
    said = Math.max(said, read.content.length);
    if (content !== '' || deltas.length > 0 || piece.finish !== undefined || piece.tokens.length > 0)
      yield { ...piece, text: content, ...(deltas.length > 0 ? { calls: deltas } : {}) };
  }
  // What is held to its schema need not be begun once more.
  const functions = request.functions.map((one) => ({ ...one, strict: false }));
  if (again !== undefined) yield* withCalls(again, { ...request, functions, most: 1 }, restart);
}
