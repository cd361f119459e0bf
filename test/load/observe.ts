import { readFileSync } from 'node:fs';

/** The agent's `/metrics` at a moment: values by name with labels, as the text has them. */
export async function readMetrics(url: string): Promise<ReadonlyMap<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))] as const;
    }),
  );
}

/** Sum over all labels of a metric. */
export function total(metrics: ReadonlyMap<string, number>, name: string): number {
  let sum = 0;
  for (const [key, value] of metrics)
    if (key === `pynq_llm_${name}` || key.startsWith(`pynq_llm_${name}{`)) sum += value;
  return sum;
}

/** Memory of a process, in MiB; undefined where the system does not tell it in /proc. */
export function residentMib(pid: number): number | undefined {
  try {
    const [, kib] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kib === undefined ? undefined : Number(kib) / 1_024;
  } catch {
    return undefined;
  }
}

export interface MemorySample {
  readonly seconds: number;
  readonly mib: number;
}

/** MiB a minute by which memory grows, by least squares over the last two thirds of the samples; 0 with fewer than two. */
export function growthOf(samples: readonly MemorySample[]): number {
  const fitted = samples.slice(Math.floor(samples.length / 3));
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const seconds = mean(fitted.map((sample) => sample.seconds));
  const mib = mean(fitted.map((sample) => sample.mib));
  let [covariance, variance] = [0, 0];
  for (const sample of fitted) {
    covariance += (sample.seconds - seconds) * (sample.mib - mib);
    variance += (sample.seconds - seconds) ** 2;
  }
  return variance === 0 ? 0 : (60 * covariance) / variance;
}
