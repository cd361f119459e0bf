import { DEFAULT_LINK, type FleetModel, fleetModel, type Link } from '../../fleet/index.js';
import { syntheticHeader, TINY_LLAMA_Q3_K_S } from '../synthetic-model.js';
import { type RoutingRow, routingRows } from './routing.js';
import { roundTripRows, type ScalingRow, scalingRows } from './scaling.js';

export interface FleetBenchOptions {
  readonly link?: Link;
  /** A ring's reductions beside the exact cut by rows. */
  readonly allReduce?: boolean;
}

/** What several boards are worth, by a virtual clock of core cycles and links: the same figures on every machine. Plain data. */
export interface FleetBenchResult {
  readonly model: string;
  readonly link: Link;
  readonly scaling: readonly ScalingRow[];
  /** Exact tensor parallelism by the round trip of the links. */
  readonly roundTrips: readonly ScalingRow[];
  readonly routing: readonly RoutingRow[];
}

/** Simulates fleets with TinyLlama-1.1B in Q3_K_S. */
export function benchFleet({
  link = DEFAULT_LINK,
  allReduce = false,
}: FleetBenchOptions = {}): FleetBenchResult {
  const model: FleetModel = fleetModel(syntheticHeader(TINY_LLAMA_Q3_K_S));
  return {
    model: 'TinyLlama-1.1B Q3_K_S',
    link,
    scaling: scalingRows(model, link, allReduce),
    roundTrips: roundTripRows(model, link),
    routing: routingRows(model),
  };
}
