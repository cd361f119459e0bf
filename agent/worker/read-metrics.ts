import type { Engine, EngineMetrics, Histogram, Model } from '../../llm/index.js';
import type { Result } from '../../protocol/index.js';

/**
 * What all generations since the device was opened had to wait, and what there is now.
 * @param loaded the models on the device with their engines, by digest
 */
export function readMetrics(
  { classes, steps, columns, faults, recovered }: EngineMetrics,
  loaded: Iterable<readonly [string, { readonly model: Model; readonly engine: Engine }]>,
): Result<'metrics.read'> {
  const { interactive, batch } = classes;
  return {
    classes: { interactive: plainClass(interactive), batch: plainClass(batch) },
    steps,
    columns,
    faults,
    recovered,
    models: [...loaded].map(([digest, { model, engine }]) => ({
      model: digest,
      name: model.config.name,
      sequences: engine.status(),
      ...(model.kvStats === undefined ? {} : { kv: model.kvStats }),
    })),
  };
}

function plainClass({
  queueMs,
  firstTokenMs,
  betweenTokensMs,
  occupancy,
  ...counts
}: EngineMetrics['classes']['batch']) {
  return {
    ...counts,
    queueMs: plainHistogram(queueMs),
    firstTokenMs: plainHistogram(firstTokenMs),
    betweenTokensMs: plainHistogram(betweenTokensMs),
    occupancy: plainHistogram(occupancy),
  };
}

function plainHistogram({ bounds, counts, sum }: Histogram) {
  return { bounds: [...bounds], counts: [...counts], sum };
}
