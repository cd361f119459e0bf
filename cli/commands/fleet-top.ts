import { Command } from 'commander';
import { harmlessJson } from '../../errors/index.js';
import type { BoardClient } from '../../sdk/index.js';
import { chosenBoard } from '../boards/devices.js';
import { type DeviceOptions, withDevice, withJson } from '../options.js';
import { withFleet } from '../session.js';
import { type FleetFigures, type FleetSample, fleetFiguresOf, takeFleetSample } from '../top/fleet-sample.js';
import { FLEET_SORTS, type FleetLook, fleetLines } from '../top/fleet-screen.js';
import type { Line } from '../top/line.js';
import { type LiveView, showLive } from '../top/live.js';
import { liveOptions, type TopFlags, withTop } from './top.js';

/** Screens that are remembered: more than fit on any line. */
const MOST = 240;

/** `fleet top`: what the boards of a fleet do, live. */
export function fleetTopCommand(): Command {
  const command = new Command('top')
    .description(
      'Show live what the boards of a fleet do: requests, tokens, core, KV pages, the way over the bus. q leaves, h lists keys.',
    )
    .argument('[url]', "the gateway's address; --device when left out");
  return withJson(withDevice(withTop(command)), 'one JSON object an interval').action(
    async (url: string | undefined, options: DeviceOptions & TopFlags, self: Command) => {
      const chosen = url === undefined ? options : await chosenBoard(url, options, self);
      await withFleet({ ...options, ...chosen }, (board, signal) =>
        showLive(new GatewayView(board, chosen.device), liveOptions(options), signal),
      );
    },
  );
}

/** A fleet, since it was looked at before. */
class GatewayView implements LiveView {
  readonly #board: BoardClient;
  readonly #device: string;
  #past: number[] = [];
  #look: Omit<FleetLook, 'columns'> = { sort: 'name', help: false };
  #sample!: FleetSample;
  #figures: FleetFigures | undefined;

  constructor(board: BoardClient, device: string) {
    this.#board = board;
    this.#device = device;
  }

  async next(): Promise<void> {
    const before = this.#sample as FleetSample | undefined;
    this.#sample = await takeFleetSample(this.#board);
    if (before === undefined) return;
    this.#figures = fleetFiguresOf(before, this.#sample);
    this.#past = [...this.#past, this.#figures.tokensPerSecond].slice(-MOST);
  }

  lines(columns: number): Line[] {
    const view = { device: this.#device, sample: this.#sample, figures: this.#figures, past: this.#past };
    return fleetLines(view, { ...this.#look, columns });
  }

  json(): string {
    const { status, metrics } = this.#sample;
    return harmlessJson({ device: this.#device, status, metrics, figures: this.#figures });
  }

  onKey(key: string): void {
    const { sort, help } = this.#look;
    if (key === 'h' || key === '?') this.#look = { ...this.#look, help: !help };
    if (key === 's')
      this.#look = { ...this.#look, sort: FLEET_SORTS[(FLEET_SORTS.indexOf(sort) + 1) % FLEET_SORTS.length] };
  }
}
