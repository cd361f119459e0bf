import type { HistogramReading } from '../sdk/index.js';

/** A histogram that the agent counts, with its values by class. */
export interface ClassHistogram {
  readonly name: string;
  readonly help: string;
  /** What one unit of the agent's values is in the metric's: 0.001 for milliseconds in seconds. */
  readonly scale: number;
  readonly values: Readonly<Record<string, HistogramReading>>;
}

/** Prometheus text of histograms; source: the exposition formats page of its documentation. Buckets are cumulative there. */
export function histogramText({ name, help, scale, values }: ClassHistogram): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
  for (const [served, { bounds, counts, sum }] of Object.entries(values)) {
    let below = 0;
    for (const [i, count] of counts.entries()) {
      below += count;
      const bound = i < bounds.length ? bounds[i] * scale : '+Inf';
      lines.push(`${name}_bucket{class="${served}",le="${bound}"} ${below}`);
    }
    lines.push(`${name}_sum{class="${served}"} ${sum * scale}`, `${name}_count{class="${served}"} ${below}`);
  }
  return `${lines.join('\n')}\n`;
}
