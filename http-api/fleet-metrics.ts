import type { BoardInfo, EngineMetricsReading, FleetStatus } from '../sdk/index.js';
import { fleetBoardText } from './fleet-board-metrics.js';
import { counterText, gaugeText, labelsOf } from './metric-text.js';

/** What several boards behind one gateway are, together and board by board. */
export function fleetText(
  { agent, node, platform }: BoardInfo,
  { models, boards: readings = [] }: EngineMetricsReading,
  { boards, waiting, tokens, redelivered, moved, repeated, diverged }: FleetStatus,
): string {
  return [
    gaugeText('build_info', 'Versions of the gateway and its Node.js', [
      [labelsOf({ version: agent, node, platform }), 1],
    ]),
    gaugeText(
      'board_info',
      'The boards of the fleet',
      boards.map(
        ({ name, title, agent: version }) => [labelsOf({ board: name, title, version }), 1] as const,
      ),
    ),
    gaugeText(
      'model_info',
      'Models of the fleet, by digest and name',
      models.map(({ model, name }) => [labelsOf({ model, name }), 1] as const),
    ),
    fleetBoardText(boards, readings),
    gaugeText('fleet_waiting_requests', 'Requests that no board has yet', [['', waiting]]),
    counterText('fleet_tokens_total', 'Tokens that clients were given', [['', tokens]]),
    counterText('fleet_redeliveries_total', 'Times that a request went on on another board', [
      ['', redelivered],
    ]),
    counterText('fleet_moves_total', 'Times that a request was taken from a board that is there', [
      ['', moved],
    ]),
    counterText('fleet_repeated_tokens_total', 'Tokens that two boards computed, and that were compared', [
      ['', repeated],
    ]),
    counterText('fleet_diverged_tokens_total', 'Tokens of these that were not the same', [['', diverged]]),
  ].join('');
}
