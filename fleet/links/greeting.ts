import { setTimeout as pause } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import { PynqLlmError } from '../../errors/index.js';
import { encodeFrame, type Frame, type FrameReader } from './frame.js';

/** Between two attempts to be let in: the other board may not have heard of the plan yet. */
const AGAIN_MS = 50;

/** The first words on a link, from either side: which plan it is for, and which of its members speaks. */
export function sayHello(socket: TLSSocket, plan: number, member: number): void {
  socket.write(encodeFrame({ kind: 'hello', plan, batch: 0, number: member, bytes: new Uint8Array(0) }));
}

/**
 * Waits for the first words of the other side.
 * @returns what has come after them already
 * @throws PynqLlmError FLEET_LINK_LOST, FLEET_LINK_FRAME; the socket is destroyed
 */
export async function hearHello(
  socket: TLSSocket,
  reader: FrameReader,
  { plan, member, timeoutMs }: { readonly plan: number; readonly member: number; readonly timeoutMs: number },
): Promise<Frame[]> {
  const lost = (what: string) =>
    new PynqLlmError('FLEET_LINK_LOST', `Member ${member} of plan ${plan} ${what}.`, {
      context: { plan, member },
    });
  const frames: Frame[] = [];
  let hear: (bytes: Buffer) => void = () => {};
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(() => reject(lost(`has not greeted within ${Math.ceil(timeoutMs)} ms`)), timeoutMs);
      socket.once('close', () => reject(lost('has closed the link before it greeted')));
      hear = (bytes) => {
        try {
          frames.push(...reader.read(bytes));
        } catch (error) {
          reject(error);
        }
        if (frames.length > 0) resolve();
      };
      socket.on('data', hear);
    });
    const [hello, ...others] = frames;
    if (hello?.kind === 'hello' && hello.plan === plan && hello.number === member) return others;
    throw new PynqLlmError(
      'FLEET_LINK_FRAME',
      `Member ${member} of plan ${plan} has greeted for another plan.`,
      {
        context: { plan, member, greeted: hello?.plan ?? -1 },
      },
    );
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    clearTimeout(timer);
    socket.off('data', hear);
  }
}

/** Tries until it is done or until `end`: who is not expected yet is let in a moment later. */
export async function untilLetIn<T>(end: number, attempt: (leftMs: number) => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt(Math.max(1, end - performance.now()));
    } catch (error) {
      const isFinal = !(error instanceof PynqLlmError) || error.code !== 'FLEET_LINK_LOST';
      if (isFinal || performance.now() + AGAIN_MS > end) throw error;
      await pause(AGAIN_MS);
    }
  }
}
