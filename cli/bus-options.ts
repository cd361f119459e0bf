import { type Command, Option } from 'commander';
import type { Bus } from '../bus/index.js';

/** How a fleet's broker is entered. */
export interface BrokerAccess {
  /** File of an nkey's seed. */
  readonly credentials: string | undefined;
  /** PEM file of an authority. */
  readonly ca: string | undefined;
  /** SHA-256 of the one certificate that it may show. */
  readonly fingerprint: string | undefined;
}

/** Flags of `fleet serve`. */
export interface BusFlags {
  readonly busCreds?: string;
  readonly busCa?: string;
  readonly busFingerprint?: string;
}
/** The same of an agent. */
export interface FleetFlags {
  readonly fleetCreds?: string;
  readonly fleetCa?: string;
  readonly fleetFingerprint?: string;
}

/** `--bus-creds`, `--bus-ca` and `--bus-fingerprint`; of an agent `--fleet-creds` and so on. */
export function withBroker(command: Command, prefix: 'bus' | 'fleet'): Command {
  return command
    .option(
      `--${prefix}-creds <file>`,
      "file with the seed of an nkey that the fleet's broker knows; readable by its owner alone",
    )
    .option(`--${prefix}-ca <file>`, "certificates, PEM, that sign the broker's")
    .addOption(
      new Option(
        `--${prefix}-fingerprint <sha256>`,
        'the one certificate that the broker may show',
      ).conflicts(`${prefix}Ca`),
    );
}

export function accessOf(flags: BusFlags & FleetFlags): BrokerAccess {
  return {
    credentials: flags.fleetCreds ?? flags.busCreds,
    ca: flags.fleetCa ?? flags.busCa,
    fingerprint: flags.fleetFingerprint ?? flags.busFingerprint,
  };
}

/** Connects to a broker. @param name of the board, or of the gateway @param api of a board's key: see NatsOptions */
export function connectBus(
  url: string,
  name: string,
  access: BrokerAccess,
  api?: string,
): () => Promise<Bus> {
  return async () => {
    const { connectNats } = await import('../bus/nats/connect.js');
    const { credentials, ca, fingerprint } = access;
    return connectNats({
      url,
      inbox: name,
      ...(api !== undefined && { api }),
      ...(credentials !== undefined && { credentials }),
      ...(ca !== undefined && { ca }),
      ...(fingerprint !== undefined && { fingerprint }),
    });
  };
}
