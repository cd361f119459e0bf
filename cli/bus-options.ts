import { type Command, Option } from 'commander';
import type { Bus } from '../bus/index.js';

/** Flags that say where a fleet's broker is, and how it is entered. */
export interface BusFlags {
  readonly busCreds?: string;
  readonly busCa?: string;
  readonly busFingerprint?: string;
}

/** `--bus-creds`, `--bus-ca` and `--bus-fingerprint`. */
export function withBus(command: Command): Command {
  return command
    .option(
      '--bus-creds <file>',
      "file with the seed of an nkey that the fleet's broker knows; readable by its owner alone",
    )
    .option('--bus-ca <file>', "certificates, PEM, that sign the broker's")
    .addOption(
      new Option('--bus-fingerprint <sha256>', 'the one certificate that the broker may show').conflicts(
        'busCa',
      ),
    );
}

/** Connects to a broker. @param name of the board, or of the gateway */
export function connectBus(url: string, name: string, flags: BusFlags): () => Promise<Bus> {
  return async () => {
    const { connectNats } = await import('../bus/nats/connect.js');
    const { busCreds: credentials, busCa: ca, busFingerprint: fingerprint } = flags;
    return connectNats({
      url,
      inbox: name,
      ...(credentials !== undefined && { credentials }),
      ...(ca !== undefined && { ca }),
      ...(fingerprint !== undefined && { fingerprint }),
    });
  };
}
