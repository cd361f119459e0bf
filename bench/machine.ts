import { arch, cpus, platform, release, totalmem } from 'node:os';

/** The machine that a benchmark ran on, in one line. */
export function describeMachine(): string {
  const processors = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${processors.length} x ${processors[0]?.model.trim() ?? 'unknown'}, ${memory} GiB, ${platform()} ${release()} ${arch()}, Node ${process.version}`;
}
