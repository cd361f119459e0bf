import { describe, expect, it } from 'vitest';
import type { ServerStream } from '../../../protocol/index.js';
import { requestWithProgress } from '../../../sdk/progress-request.js';
import { scriptedAgent } from './scripted-agent.js';

const SCORE = { model: 'a'.repeat(64), tokens: [1, 2], topLogprobs: 0 };
const RESULT = { logprobs: [null, -1], top: [[], []] };
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks an agent that answers by `answer` for scores; `told` is the progress that came. */
async function score(answer: (stream: ServerStream) => unknown, options = {}) {
  const agent = scriptedAgent((call) => answer(call.stream()));
  const connection = await agent.connect();
  const told: (string | number)[][] = [];
  const tell = (...progress: (string | number)[]) => void told.push(progress);
  const result = await requestWithProgress(connection, 'score', SCORE, tell, options, 150).catch(
    (error: unknown) => error,
  );
  await connection.close();
  return { result, told };
}

describe('a long request', () => {
  it('takes as long as it likes while it tells how far it has come', async () => {
    const { result, told } = await score(async (stream) => {
      for (let done = 0; done < 6; done++) {
        await pause(60);
        stream.emit({ done, total: 6, unit: 'tokens' });
      }
      return RESULT;
    });
    expect(result).toEqual(RESULT);
    expect(told.at(-1)).toEqual([5, 6, 'tokens']);
  });

  it('that tells nothing for too long is given up', async () => {
    const { result } = await score(() => new Promise(() => {}));
    expect(result).toMatchObject({ code: 'SDK_NO_PROGRESS', context: { method: 'score', stallMs: 150 } });
  });

  it('keeps to the deadline and the signal of who asks', async () => {
    const never = () => new Promise(() => {});
    expect((await score(never, { timeoutMs: 50 })).result).toMatchObject({
      code: 'PROTOCOL_REQUEST_TIMEOUT',
    });
    const reason = new Error('enough');
    expect((await score(never, { signal: AbortSignal.abort(reason) })).result).toBe(reason);
  });
});
