import type { BoardInfo, CounterReading, EngineMetricsReading } from '../sdk/index.js';
import { counterText, gaugeText, labelsOf, type Values } from './metric-text.js';
import type { UnitTotal } from './unit-cycles.js';

/** What is served by what, and what the device did since it was opened, for all clients of the agent. */
export function boardText(
  { agent, node, platform, description }: BoardInfo,
  models: EngineMetricsReading['models'],
  traffic: CounterReading['traffic'],
  units: readonly UnitTotal[],
): string {
  const { name, title, revision, timing, clockHz } = description;
  const info = (labels: Readonly<Record<string, string>>) => [labelsOf(labels), 1] as const;
  const one = (value: number): Values => [['', value]];
  const { dmaBytesToDevice, dmaBytesFromDevice } = traffic;
  return [
    gaugeText('build_info', 'Versions of the agent and its Node.js', [
      info({ version: agent, node, platform }),
    ]),
    gaugeText('board_info', 'The board and its core', [info({ board: name, title, revision, timing })]),
    gaugeText(
      'model_info',
      'Models on the device, by digest and name',
      models.map(({ model, name: called }) => info({ model, name: called })),
    ),
    gaugeText('core_clock_hertz', 'Clock of the core', one(clockHz)),
    counterText(
      'unit_cycles_total',
      'Cycles that units of the core were in the state that their hardware counter counts',
      units.map(({ unit, state, cycles }) => [labelsOf({ unit, state }), cycles] as const),
    ),
    counterText('device_register_accesses_total', 'Accesses to registers', [
      [labelsOf({ direction: 'read' }), traffic.registerReads],
      [labelsOf({ direction: 'write' }), traffic.registerWrites],
    ]),
    counterText('device_dma_transfers_total', 'DMA transfers that were started', one(traffic.dmaTransfers)),
    counterText('device_dma_bytes_total', 'Bytes of DMA transfers', [
      [labelsOf({ direction: 'to_device' }), dmaBytesToDevice],
      [labelsOf({ direction: 'from_device' }), dmaBytesFromDevice],
    ]),
    counterText(
      'device_core_cycles_total',
      'Core cycles of matrices, in the timing of the board',
      one(traffic.coreCycles),
    ),
    counterText('device_matmuls_total', 'Matrix multiplications on the core', one(traffic.matMuls)),
    counterText('device_tiles_total', 'Tiles of these', one(traffic.tiles)),
    counterText('device_multiply_adds_total', 'Multiply-adds of these', one(traffic.multiplyAdds)),
  ].join('');
}
