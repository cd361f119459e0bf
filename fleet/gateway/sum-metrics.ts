import type {
  ClassMetricsReading,
  EngineMetricsReading,
  HistogramReading,
  KvStatus,
  ModelStatus,
} from '../../protocol/index.js';

const CLASSES = ['interactive', 'batch'] as const;
type Totals = Omit<EngineMetricsReading, 'classes' | 'models' | 'boards'>;

/** What several boards count, as if they were one. @param readings one or more */
export function sumMetrics(readings: readonly EngineMetricsReading[]): EngineMetricsReading {
  const total = (of: keyof Totals) => readings.reduce((sum, reading) => sum + reading[of], 0);
  const [interactive, batch] = CLASSES.map((served) =>
    sumClasses(readings.map(({ classes }) => classes[served])),
  );
  return {
    classes: { interactive, batch },
    steps: total('steps'),
    columns: total('columns'),
    faults: total('faults'),
    recovered: total('recovered'),
    models: sumModels(readings.flatMap(({ models }) => models)),
  };
}

function sumClasses(readings: readonly ClassMetricsReading[]): ClassMetricsReading {
  const histogram = (of: 'queueMs' | 'firstTokenMs' | 'betweenTokensMs' | 'occupancy') =>
    sumHistograms(readings.map((reading) => reading[of]));
  const total = (of: 'finished' | 'failed' | 'cancelled' | 'refused' | 'preempted') =>
    readings.reduce((sum, reading) => sum + reading[of], 0);
  return {
    queueMs: histogram('queueMs'),
    firstTokenMs: histogram('firstTokenMs'),
    betweenTokensMs: histogram('betweenTokensMs'),
    occupancy: histogram('occupancy'),
    finished: total('finished'),
    failed: total('failed'),
    cancelled: total('cancelled'),
    refused: total('refused'),
    preempted: total('preempted'),
  };
}

/** Boards of one version have the same ranges; what a board of another one counts is left out of the ranges, not of the sum. */
function sumHistograms(readings: readonly HistogramReading[]): HistogramReading {
  const [{ bounds }] = readings;
  const same = readings.filter((one) => one.bounds.length === bounds.length);
  const counts = Array.from({ length: bounds.length + 1 }, (_, i) =>
    same.reduce((sum, one) => sum + (one.counts[i] ?? 0), 0),
  );
  return { bounds: [...bounds], counts, sum: readings.reduce((all, { sum }) => all + sum, 0) };
}

function sumModels(models: readonly ModelStatus[]): ModelStatus[] {
  const digests = [...new Set(models.map(({ model }) => model))];
  return digests.map((digest) => {
    const same = models.filter(({ model }) => model === digest);
    const kept = same.flatMap(({ kv }) => kv ?? []);
    const sequences = same.flatMap((one) => one.sequences);
    return { model: digest, name: same[0].name, sequences, ...(kept.length > 0 && { kv: sumKv(kept) }) };
  });
}

function sumKv(kept: readonly KvStatus[]): KvStatus {
  const total = (of: Exclude<keyof KvStatus, 'type'>) => kept.reduce((sum, one) => sum + one[of], 0);
  return {
    type: kept[0].type,
    pages: total('pages'),
    used: total('used'),
    cached: total('cached'),
    pinned: total('pinned'),
    bytes: total('bytes'),
    hits: total('hits'),
    evictions: total('evictions'),
    preemptions: total('preemptions'),
    restored: total('restored'),
    spillFailures: total('spillFailures'),
  };
}
