import { describe, expect, it } from 'vitest';
import { EventQueue } from '../../../sdk/event-queue.js';

describe('an event queue', () => {
  it('hands out what came, in order, before its end', async () => {
    const queue = new EventQueue<number>();
    queue.push(1);
    queue.push(2);
    queue.end();
    queue.push(3);
    expect([await queue.next(), await queue.next(), await queue.next()]).toEqual([1, 2, undefined]);
  });

  it('lets its reader wait', async () => {
    const queue = new EventQueue<string>();
    const waiting = queue.next();
    setImmediate(() => queue.push('late'));
    expect(await waiting).toBe('late');
  });

  it('hands out what came before a failure, then the failure, every time', async () => {
    const queue = new EventQueue<number>();
    queue.push(1);
    queue.fail(new Error('broken'));
    expect(await queue.next()).toBe(1);
    await expect(queue.next()).rejects.toThrow('broken');
    await expect(queue.next()).rejects.toThrow('broken');
  });
});
