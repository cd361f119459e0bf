import { z } from 'zod';
import { BOARD_NAME } from '../../protocol/index.js';
import { optionsOf } from '../arguments.js';
import { DESIGN_FOLDER, type Layout } from './layout.js';

/** The fleet that a board is made part of. */
export interface DeployFleet {
  /** Its broker, as the board reaches it: nats://HOST[:PORT] or tls://HOST[:PORT]. */
  readonly url: string;
  /** What the fleet calls the board: 1 to 63 lower-case letters, digits and "-". */
  readonly name: string;
  /** SHA-256 of the one certificate that the broker may show, hexadecimal, with or without colons. */
  readonly fingerprint?: string | undefined;
  /**
   * Has the broker know the board, before its agent starts; fails, and the deploy with it, where that cannot be.
   * @param publicKey U…, of the key that was made on the board and stays there
   */
  readonly enrol: (publicKey: string) => void | Promise<void>;
}

/** Each value is a word of the agent's command line as it is: none has a character that a shell or a unit reads otherwise. */
export const DEPLOY_FLEET = z.union([
  z.literal(false),
  optionsOf({
    url: z
      .string()
      .regex(/^(nats|tls):\/\/[\w.:[\]-]{1,255}$/, 'must be nats://HOST[:PORT] or tls://HOST[:PORT]'),
    name: z.string().regex(BOARD_NAME, 'must be 1 to 63 lower-case letters, digits and "-"'),
    fingerprint: z
      .string()
      .regex(/^([0-9a-fA-F]{2}:?){31}[0-9a-fA-F]{2}$/, 'must be 64 hexadecimal digits')
      .optional(),
  }),
]);

/** The file of a release that says of which fleet the board is; unit and run.sh read it, later deploys keep it. */
export const FLEET_FILE = `${DESIGN_FOLDER}/fleet.env`;

/** Where a board has its key: beside its models, so that releases come and go without it. */
export function keyOf({ state }: Layout): string {
  return `${state}/fleet.nk`;
}

/** What FLEET_FILE holds: the agent's flags, as systemd and a shell read a variable. */
export function fleetFile(layout: Layout, { url, name, fingerprint }: DeployFleet): string {
  const flags = ['--fleet', url, '--fleet-name', name, '--fleet-creds', keyOf(layout)];
  if (fingerprint !== undefined) flags.push('--fleet-fingerprint', fingerprint);
  return `# Written by \`pynq-llm deploy --fleet\`.\nPYNQ_LLM_FLEET_FLAGS="${flags.join(' ')}"\n`;
}
