import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { ApiError } from '../api-error.js';
import { type Choice, piecesOf } from '../choices.js';
import type { ApiMetrics } from '../metrics.js';
import { Silence } from '../silence.js';
import { type ResponseEvent, ResponseOutput } from './output.js';

/** What is answered. */
export interface ToRespond {
  readonly model: string;
  readonly choice: Choice;
  /** Fields that the response repeats. */
  readonly repeated: object;
  readonly metrics: ApiMetrics;
  readonly fail: (error: unknown) => ApiError;
}

/** Waits for the answer and sends it as one `response`. */
export async function respondWhole(context: Context, request: ToRespond): Promise<Response> {
  const output = new ResponseOutput(request.model, request.repeated);
  for await (const piece of piecesOf(request.choice)) {
    if (piece.finish !== undefined) request.metrics.finished(piece.finish);
    // The events are for streams alone.
    for (const _ of output.take(piece));
  }
  return context.json(output.response);
}

/**
 * Sends the events of a response as they come. What is refused is refused before the head goes out; what fails later ends
 * the stream with an `error` event.
 */
export async function respondStreamed(context: Context, request: ToRespond): Promise<Response> {
  const { choice, metrics, fail } = request;
  await choice.generation.admitted;
  const output = new ResponseOutput(request.model, request.repeated);
  return streamSSE(context, async (stream) => {
    let sent = 0;
    const send = ({ type, ...fields }: ResponseEvent) =>
      stream.writeSSE({ event: type, data: JSON.stringify({ type, sequence_number: sent++, ...fields }) });
    const silence = new Silence(() => stream.write(': waiting\n\n'));
    const pieces = piecesOf(choice);
    try {
      for (const event of output.begin()) await send(event);
      for (;;) {
        const next = await silence.during(pieces.next());
        if (next.done || stream.aborted) return;
        if (next.value.finish !== undefined) metrics.finished(next.value.finish);
        for (const event of output.take(next.value)) await send(event);
      }
    } catch (error) {
      const { code, message, param } = fail(error).body.error;
      if (!stream.aborted) await send({ type: 'error', code, message, param });
    } finally {
      await pieces.return();
    }
  });
}
