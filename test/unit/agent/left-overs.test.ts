import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CheckFiles } from '../../../agent/session/check-files.js';
import { PartProbe } from '../../../agent/session/part-probe.js';
import { removeOldScratch, scratchDirectory } from '../../../agent/session/scratch.js';
import { TraceFiles } from '../../../agent/worker/trace-files.js';
import { silentLog } from '../../../listen/index.js';
import { temporaryDirectory } from '../../system/support/agent.js';
import { TestClock } from '../protocol/test-clock.js';

let folder: ReturnType<typeof temporaryDirectory>;
beforeEach(() => {
  folder = temporaryDirectory();
});
afterEach(() => folder[Symbol.dispose]());

/** The number of a process that has ended. */
function deadPid(): number {
  const { pid } = spawnSync(process.execPath, ['--version']);
  return pid;
}

describe('traces of agents that were killed', () => {
  const nameOf = (pid: number) => basename(scratchDirectory()).replace(String(process.pid), String(pid));
  const make = (name: string) => {
    const path = join(folder.path, name);
    mkdirSync(path);
    writeFileSync(join(path, 'recorded.jsonl'), 'a trace');
    return path;
  };

  it('go when the next agent starts; those of a running one stay', async () => {
    const old = make(nameOf(deadPid()));
    const own = make(nameOf(process.pid));
    await removeOldScratch(silentLog, folder.path);
    expect([existsSync(old), existsSync(own)]).toEqual([false, true]);
  });

  it('are no links to elsewhere, no files and nothing of another name', async () => {
    const precious = make('precious');
    const dead = deadPid();
    symlinkSync(precious, join(folder.path, nameOf(dead)));
    const file = join(folder.path, nameOf(dead));
    writeFileSync(file, 'not a folder');
    make(`pynq-llm-${dead}-short`);
    make(`pynq-llm-test-${dead}-0123456789abcdef`);
    const before = readdirSync(folder.path);
    await removeOldScratch(silentLog, folder.path);
    expect(readdirSync(folder.path)).toEqual(before);
    expect(readFileSync(join(precious, 'recorded.jsonl'), 'utf8')).toBe('a trace');
  });

  it('take links within with them, not what those point at', async () => {
    const precious = make('precious');
    const old = make(nameOf(deadPid()));
    symlinkSync(precious, join(old, 'link'));
    await removeOldScratch(silentLog, folder.path);
    expect([existsSync(old), existsSync(join(precious, 'recorded.jsonl'))]).toEqual([false, true]);
  });
});

describe('a trace that is recorded', () => {
  const LINE = 'x'.repeat(1 << 20);

  it.skipIf(!existsSync('/dev/full'))(
    'onto a full disk ends in an error by name, and the next one begins',
    () => {
      mkdirSync(join(folder.path, 'scratch'));
      const recorded = join(folder.path, 'scratch', 'recorded.jsonl');
      symlinkSync('/dev/full', recorded);
      const traces = new TraceFiles(join(folder.path, 'scratch'));
      traces.start();
      traces.add(LINE);
      traces.add(LINE);
      expect(traces.isRecording).toBe(true);
      expect(() => traces.stop()).toThrow(
        expect.objectContaining({ code: 'AGENT_TRACE_FAILED', message: expect.stringContaining('ENOSPC') }),
      );
      expect(traces.isRecording).toBe(false);
      traces.start();
      traces.add('a line');
      expect(traces.stop()).toBe('a line\n'.length);
      expect(lstatSync(recorded).isFile()).toBe(true);
      expect(Buffer.from(traces.read(0, 100)).toString()).toBe('a line\n');
    },
  );

  it('ends in an error by name where it grows beyond what a trace may be, and takes no room then', () => {
    const traces = new TraceFiles(join(folder.path, 'scratch'));
    traces.start();
    for (let i = 0; i < 257; i++) traces.add(LINE);
    expect(existsSync(join(folder.path, 'scratch', 'recorded.jsonl'))).toBe(false);
    expect(() => traces.stop()).toThrow(expect.objectContaining({ code: 'AGENT_TRACE_FAILED' }));
  });

  it('in a folder that cannot be made ends in an error by name', () => {
    writeFileSync(join(folder.path, 'file'), '');
    const traces = new TraceFiles(join(folder.path, 'file', 'scratch'));
    const failed = expect.objectContaining({ code: 'AGENT_TRACE_FAILED' });
    expect(() => traces.start()).toThrow(failed);
    expect(() => traces.write(0, new Uint8Array(1))).toThrow(failed);
    expect(traces.isRecording).toBe(false);
  });
});

describe('files for a check', () => {
  it('are of a bounded number, also without a byte', () => {
    const files = new CheckFiles();
    const add = (name: string) => files.add({ name, offset: 0, data: new Uint8Array() });
    for (let i = 0; i < 64; i++) add(`file ${i}`);
    for (let i = 0; i < 1_000; i++) add('file 0');
    expect(() => add('one more')).toThrow(expect.objectContaining({ code: 'AGENT_CHECK_FILE' }));
    expect(files.take()).toEqual([]);
  });
});

describe('a part that is asked how it is', () => {
  it('is given up after a second, and not asked again before it has answered', async () => {
    const clock = new TestClock();
    const answers: ((value: number) => void)[] = [];
    const probe = new PartProbe(clock, () => new Promise<number>((resolve) => answers.push(resolve)));
    for (let i = 0; i < 3; i++) {
      const read = probe.read();
      clock.advance(1_000);
      await expect(read).rejects.toThrow('does not answer');
    }
    expect(answers).toHaveLength(1);
    answers[0](7);
    await new Promise(setImmediate);
    const read = probe.read();
    answers[1](8);
    expect(await read).toBe(8);
  });
});
