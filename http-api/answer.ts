import { randomUUID } from 'node:crypto';
import type { Context } from 'hono';
import { streamSSE } from 'hono/streaming';
import type { DoneEvent } from '../sdk/index.js';
import type { AnswerFormat, WriteLogprobs } from './answer-format.js';
import type { ApiError } from './api-error.js';
import { type Choice, finishReason, piecesOf, usageOf } from './choices.js';
import { merge } from './merge.js';
import type { ApiMetrics } from './metrics.js';
import type { CallDelta, Piece } from './piece.js';
import { ProgressReports } from './prompt-progress.js';
import type { ReportedToken } from './reported-token.js';
import { Silence } from './silence.js';

/** What is answered, and to whom. */
export interface AnswerRequest {
  readonly model: string;
  readonly choices: readonly Choice[];
  /** Answers that are drawn for each prompt, and the best of them that are sent. */
  readonly perPrompt: number;
  readonly sentPerPrompt: number;
  readonly format: AnswerFormat;
  /** Whether a stream tells how far prompts are. */
  readonly withProgress: boolean;
  readonly metrics: ApiMetrics;
  /** What a client is told of an error. */
  readonly fail: (error: unknown) => ApiError;
}

/** Waits for all answers and sends them as one object. */
export async function answerWhole(context: Context, request: AnswerRequest): Promise<Response> {
  const { choices, format, perPrompt, sentPerPrompt } = request;
  const answers = await collectAll(choices, request);
  const beams = beamsOf(answers, sentPerPrompt);
  const sent = beams ?? bestOf(answers, perPrompt, sentPerPrompt);
  return context.json({
    ...headOf(request, format.object),
    choices: await Promise.all(
      sent.map(async ({ text, calls, tokens, done }, index) => ({
        index,
        ...format.choice(text, calls),
        logprobs: (await format.logprobs?.()(tokens)) ?? null,
        finish_reason: finishReason(done, calls.length > 0),
      })),
    ),
    usage: usageOf(
      (beams ?? answers).map(({ done }) => done),
      beams === undefined ? perPrompt : sentPerPrompt,
    ),
  });
}

/** Where one of them fails, nobody waits for the others. */
async function collectAll(choices: readonly Choice[], request: AnswerRequest): Promise<Answer[]> {
  try {
    return await Promise.all(choices.map((choice) => collect(choice, request)));
  } catch (error) {
    await Promise.allSettled(choices.map(({ generation }) => generation.cancel()));
    throw error;
  }
}

/** A whole answer. */
interface Answer {
  readonly text: string;
  readonly calls: readonly CallDelta[];
  /** Those of a prompt that is part of the answer, too. */
  readonly tokens: readonly ReportedToken[];
  readonly done: DoneEvent;
}

/** Of each prompt's answers the `sent` likeliest ones, by log-probability a token as OpenAI ranks them, the likeliest first. */
function bestOf(answers: readonly Answer[], perPrompt: number, sent: number): Answer[] {
  if (sent === perPrompt) return [...answers];
  const meanOf = ({ tokens, done }: Answer) =>
    tokens.slice(tokens.length - done.tokens).reduce((sum, { logprob }) => sum + (logprob ?? 0), 0) /
    done.tokens;
  const prompts = Array.from({ length: answers.length / perPrompt }, (_, i) =>
    answers.slice(i * perPrompt, (i + 1) * perPrompt),
  );
  return prompts.flatMap((ofPrompt) => ofPrompt.toSorted((a, b) => meanOf(b) - meanOf(a)).slice(0, sent));
}

/** Of each prompt's beams the best `n`, as if each were a generation. */
function beamsOf(answers: readonly Answer[], n: number): Answer[] | undefined {
  if (answers.every(({ done }) => done.beams === undefined)) return undefined;
  return answers.flatMap(({ done: { beams = [], ...done } }) =>
    beams.slice(0, n).map(({ text, reason, tokens }) => ({
      text,
      calls: [],
      tokens: [],
      done: { ...done, reason, tokens: tokens.length },
    })),
  );
}

async function collect(choice: Choice, { metrics }: AnswerRequest): Promise<Answer> {
  let text = '';
  const tokens: ReportedToken[] = [];
  const calls: CallDelta[] = [];
  for await (const piece of piecesOf(choice)) {
    text += piece.text;
    tokens.push(...piece.tokens);
    for (const { index, ...delta } of piece.calls ?? []) {
      const before = calls[index]?.arguments ?? '';
      calls[index] = { ...calls[index], index, ...delta, arguments: before + delta.arguments };
    }
    if (piece.finish !== undefined) {
      metrics.finished(piece.finish);
      return { text, calls, tokens, done: piece.finish };
    }
  }
  throw new Error('a generation ends with a done event');
}

/**
 * Sends the answers token by token as server-sent events, `[DONE]` at the end. What is refused is refused before the head
 * goes out: it is answered with its status. The head goes once the requests are in the agent's queue; while they wait there
 * or their prompts are computed, comments tell proxies and clients that the connection lives. What fails later ends the
 * stream with an `error` event.
 */
export async function answerStreamed(
  context: Context,
  request: AnswerRequest,
  withUsage: boolean,
): Promise<Response> {
  const { choices, format, perPrompt, metrics, fail } = request;
  const head = headOf(request, format.chunkObject);
  try {
    await Promise.all(choices.map(({ generation }) => generation.admitted));
  } catch (error) {
    await Promise.allSettled(choices.map(({ generation }) => generation.cancel()));
    throw error;
  }
  const pieces = merge(choices.map((choice) => withIndex(choice)));
  return streamSSE(context, async (stream) => {
    const done: DoneEvent[] = [];
    /** By choice, once it has begun. */
    const begun = new Map<number, WriteLogprobs | undefined>();
    const calling = new Set<number>();
    const send = (body: object) => stream.writeSSE({ data: JSON.stringify(body) });
    const silence = new Silence(() => stream.write(': waiting\n\n'));
    const reports = new ProgressReports((index, report) =>
      send({
        ...head,
        choices: [{ index, ...format.piece('', false, []), logprobs: null, finish_reason: null }],
        prompt_progress: report,
        ...(withUsage ? { usage: null } : {}),
      }),
    );
    let following: Promise<void> | undefined;
    try {
      if (request.withProgress) {
        await silence.during(reports.ask(choices));
        following = reports.follow(choices);
      }
      for (;;) {
        const next = await silence.during(pieces.next());
        if (next.done) break;
        if (stream.aborted) return;
        const { index, piece } = next.value;
        if (piece.finish !== undefined) {
          metrics.finished(piece.finish);
          done[index] = piece.finish;
        }
        if (request.withProgress) await reports.begin(choices[index], piece.finish);
        if (piece.calls !== undefined) calling.add(index);
        const first = !begun.has(index);
        if (first) begun.set(index, format.logprobs?.());
        const logprobs = piece.tokens.length > 0 ? await begun.get(index)?.(piece.tokens) : undefined;
        await send({
          ...head,
          choices: [
            {
              index,
              ...format.piece(piece.text, first, piece.calls ?? []),
              logprobs: logprobs ?? null,
              finish_reason:
                piece.finish === undefined ? null : finishReason(piece.finish, calling.has(index)),
            },
          ],
          ...(withUsage ? { usage: null } : {}),
        });
      }
      if (withUsage) await send({ ...head, choices: [], usage: usageOf(done, perPrompt) });
      await stream.writeSSE({ data: '[DONE]' });
    } catch (error) {
      if (!stream.aborted) await stream.writeSSE({ event: 'error', data: JSON.stringify(fail(error).body) });
    } finally {
      reports.end();
      await Promise.all([pieces.return(), following]);
    }
  });
}

async function* withIndex(choice: Choice): AsyncGenerator<{ index: number; piece: Piece }, void, void> {
  for await (const piece of piecesOf(choice)) yield { index: choice.index, piece };
}

function headOf({ format, model }: AnswerRequest, object: string) {
  return {
    id: `${format.idPrefix}-${randomUUID()}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model,
  };
}
