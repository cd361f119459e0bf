import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fileOutput, type LogOutput } from '../../../agent/session/log-output.js';
import { LogSink } from '../../../agent/session/log-sink.js';
import { temporaryDirectory } from '../../system/support/agent.js';

const KIB = 1024;

/** An output that takes what the test lets it take. */
class HeldOutput implements LogOutput {
  text = '';
  #held: (() => void) | undefined;
  /** What the next writes fail with, having taken so many bytes. */
  failure: { readonly code: string; readonly after: number } | undefined;

  write(bytes: Uint8Array, done: (written: number, error: NodeJS.ErrnoException | null) => void): void {
    this.#held = () => {
      const { failure } = this;
      const taken = failure === undefined ? bytes.length : failure.after;
      this.text += Buffer.from(bytes.subarray(0, taken)).toString();
      done(taken, failure === undefined ? null : Object.assign(new Error(failure.code), failure));
    };
  }

  /** @returns whether something was to be written */
  release(): boolean {
    const held = this.#held;
    this.#held = undefined;
    held?.();
    return held !== undefined;
  }

  get lines(): string[] {
    return this.text.trimEnd().split('\n');
  }
}

describe('a log whose reader', () => {
  it('reads gets every line in order', () => {
    const output = new HeldOutput();
    const sink = new LogSink(output);
    for (let i = 0; i < 100; i++) {
      sink.write(`line ${i}\n`);
      if (i % 7 === 0) output.release();
    }
    while (output.release());
    expect(output.lines).toEqual(Array.from({ length: 100 }, (_, i) => `line ${i}`));
  });

  it('does not read costs a bounded amount of memory, and is told how many lines it missed', () => {
    const output = new HeldOutput();
    const sink = new LogSink(output);
    const line = `${'x'.repeat(KIB - 1)}\n`;
    const lines = 10_000;
    for (let i = 0; i < lines; i++) sink.write(line);
    output.release();
    output.release();
    const kept = output.lines.filter((one) => one.startsWith('x')).length;
    expect(kept).toBeLessThanOrEqual(257);
    expect(JSON.parse(output.lines.at(-1) ?? '')).toMatchObject({ level: 40, dropped: lines - kept });
    sink.write('after\n');
    output.release();
    expect(output.lines.at(-1)).toBe('after');
  });

  it('has gone is not written to again', async () => {
    const output = new HeldOutput();
    const sink = new LogSink(output);
    sink.write('a\n');
    output.failure = { code: 'EPIPE', after: 0 };
    output.release();
    sink.write('b\n');
    expect(output.release()).toBe(false);
    await sink.flush(60_000);
  });

  it.each(['ENOSPC', 'EAGAIN'])('says %s gets the rest of a line once it takes more', async (code) => {
    const output = new HeldOutput();
    const sink = new LogSink(output);
    sink.write('one line\n');
    output.failure = { code, after: 4 };
    output.release();
    sink.write('another\n');
    output.failure = undefined;
    await expect.poll(() => output.release()).toBe(true);
    while (output.release());
    expect(output.text).toBe('one line\nanother\n');
  });

  it('is waited for no longer than told', async () => {
    const sink = new LogSink(new HeldOutput());
    sink.write('a\n');
    await sink.flush(20);
  });

  it('is a file has the lines when they are flushed', async () => {
    using folder = temporaryDirectory();
    const path = join(folder.path, 'log');
    const file = openSync(path, 'a');
    const sink = new LogSink(fileOutput(file));
    for (let i = 0; i < 50; i++) sink.write(`${i}\n`);
    await sink.flush(10_000);
    closeSync(file);
    expect(readFileSync(path, 'utf8').trim().split('\n')).toHaveLength(50);
  });
});
