import { describe, expect, it } from 'vitest';
import { PynqLlmError } from '../../../errors/index.js';
import type { Call } from '../../../protocol/index.js';
import { Pin, type PinOptions } from '../../../sdk/pin.js';
import { scriptedAgent } from './scripted-agent.js';

const MODEL = 'a'.repeat(64);

/** An agent that pins by `answer`, told how often it was asked before, and keeps book of what is pinned. */
function pinningAgent(answer: (asked: number) => unknown) {
  const pinned = new Set<string>();
  let asked = 0;
  const agent = scriptedAgent(({ method, params }: Call) => {
    const { pin } = params as { readonly pin: string };
    if (method === 'models.pin') {
      const result = answer(asked++);
      const add = () => {
        pinned.add(pin);
        return { tokens: 32 };
      };
      return result instanceof Promise ? result.then(add) : add();
    }
    if (!pinned.delete(pin)) throw new PynqLlmError('AGENT_PIN_UNKNOWN', 'scripted');
    return {};
  });
  const open = async (options: PinOptions = {}, use = <T>(request: () => Promise<T>) => request()) => {
    const connection = await agent.connect();
    return { connection, pin: await Pin.open(connection, MODEL, 'Once', options, use) };
  };
  /** The connection breaks, and with its session all pins end. */
  const breakNow = () => {
    pinned.clear();
    agent.breakNow();
  };
  const methods = () => agent.calls.map(({ method }) => method);
  return { agent, pinned, open, breakNow, methods };
}

const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

describe('a pin of the SDK', () => {
  it('is made again, under the same name, whenever the connection was', async () => {
    const { pinned, open, breakNow, methods } = pinningAgent(() => undefined);
    const { connection, pin } = await open();
    const [name] = pinned;
    for (let round = 0; round < 2; round++) {
      breakNow();
      expect(pin.tokens).toBe(0);
      await expect.poll(() => pin.tokens).toBe(32);
      expect([...pinned]).toEqual([name]);
    }
    await pin.release();
    expect(pinned.size).toBe(0);
    expect(methods()).toEqual(['models.pin', 'models.pin', 'models.pin', 'models.unpin']);
    await connection.close();
  });

  it('is asked for again where the connection breaks while it is made', async () => {
    const { agent, pinned, open } = pinningAgent((asked) => (asked === 0 ? later(10_000) : undefined));
    const opening = open();
    await expect.poll(() => agent.calls).toHaveLength(1);
    agent.breakNow();
    const { connection, pin } = await opening;
    expect([pin.tokens, pinned.size]).toEqual([32, 1]);
    await connection.close();
  });

  it('says why the agent refuses to make it again', async () => {
    const { open, breakNow } = pinningAgent((asked) => {
      if (asked > 0) throw new PynqLlmError('LLM_KV_PINNED', 'scripted');
    });
    const { connection, pin } = await open();
    expect(pin.error).toBeUndefined();
    breakNow();
    await expect.poll(() => pin.error).toMatchObject({ code: 'LLM_KV_PINNED' });
    expect(pin.tokens).toBe(0);
    await pin.release();
    await connection.close();
  });

  it('that is released while it is made again is not kept', async () => {
    const { agent, pinned, open, breakNow, methods } = pinningAgent((asked) =>
      asked > 0 ? later(50) : undefined,
    );
    const { connection, pin } = await open();
    breakNow();
    await expect.poll(() => agent.calls).toHaveLength(2);
    await pin.release();
    await expect.poll(() => methods()).toHaveLength(4);
    await expect.poll(() => pinned.size).toBe(0);
    expect(methods()).toEqual(['models.pin', 'models.pin', 'models.unpin', 'models.unpin']);
    expect([pin.tokens, pin.error]).toEqual([0, undefined]);
    await connection.close();
  });

  it('that is released before there is a new connection is not made again', async () => {
    const { agent, open, breakNow, methods } = pinningAgent(() => undefined);
    const { connection, pin } = await open();
    agent.isDown = true;
    breakNow();
    const released = pin.release();
    agent.isDown = false;
    await released;
    await later(50);
    expect(methods()).toEqual(['models.pin', 'models.unpin']);
    await connection.close();
  });

  it('whose signal aborts tells the agent to compute no more', async () => {
    const { agent, open, methods } = pinningAgent(() => later(10_000));
    const enough = new AbortController();
    const opening = open({ signal: enough.signal });
    await expect.poll(() => agent.calls).toHaveLength(1);
    enough.abort('enough');
    await expect(opening).rejects.toBe('enough');
    await expect.poll(() => methods()).toEqual(['models.pin', 'models.unpin']);
  });

  it('has the model loaded where the board lost it', async () => {
    const loads: string[] = [];
    const { open } = pinningAgent((asked) => {
      if (asked === 0) throw new PynqLlmError('AGENT_MODEL_NOT_LOADED', 'scripted');
    });
    const use = <T>(request: () => Promise<T>) =>
      request().catch((error: PynqLlmError) => {
        loads.push(error.code);
        return request();
      });
    const { connection, pin } = await open({}, use);
    expect([pin.tokens, loads]).toEqual([32, ['AGENT_MODEL_NOT_LOADED']]);
    await connection.close();
  });

  it('is harmless to release after the client was closed', async () => {
    const { open } = pinningAgent(() => undefined);
    const { connection, pin } = await open();
    await connection.close();
    expect(pin.tokens).toBe(0);
    await pin.release();
    expect(pin.error).toBeUndefined();
  });
});
