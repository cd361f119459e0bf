import { type Command, Option } from 'commander';
import { decimal } from './options.js';

/** The flags of links between boards. */
export interface LinkFlags {
  readonly roundTrip: number;
  readonly linkRate: number;
}

/** Adds the flags of links between boards. */
export function withLink(command: Command): Command {
  return command
    .addOption(
      new Option('--round-trip <ms>', 'from a message to its answer between two boards')
        .argParser(decimal(0, 10_000))
        .default(0.2),
    )
    .addOption(
      new Option('--link-rate <mb/s>', 'what a link carries each way')
        .argParser(decimal(0.001, 100_000))
        .default(62),
    );
}

/** The flags as plans and simulations take them. */
export function linkOf({ roundTrip, linkRate }: LinkFlags) {
  return { bytesPerSecond: linkRate * 1e6, roundTripMs: roundTrip };
}
