import type { Duplex } from 'node:stream';
import type { BoardInfo } from '../../protocol/index.js';
import type { BoardClient } from '../board-client.js';
import type { RemoteHost } from '../ssh/index.js';
import type { SshLoginOptions } from '../transports/ssh.js';
import { type BoardFacts, factsScript, parseFacts } from './board-facts.js';
import type { CoreMeasurement } from './measure.js';
import { type KnownFleet, type SeenBroker, seeBroker } from './see-broker.js';
import type { Target } from './target.js';

const FACTS_MS = 30_000;

/** The computer that the doctor runs on. */
export interface Laptop {
  /** `process.versions.node` */
  readonly nodeVersion: string;
  /** Home directory of the user. */
  readonly home: string;
  /** $SSH_AUTH_SOCK */
  readonly sshAgentSocket: string | undefined;
}

/** Files of the package and what the user said. */
export interface Examination {
  /** Version of this package. */
  readonly version: string;
  /** Folder of golden vectors. */
  readonly vectors: string;
  /** The bundled model, whose first tokens are known. */
  readonly model: string;
  /** Whether the core may be used; without it nothing is written to the board. */
  readonly touch: boolean;
  /** Token for the agent, where it wants one. */
  readonly token?: string | undefined;
  /** For wss: certificate authority, PEM. */
  readonly ca?: string | undefined;
  /** For wss: the SHA-256 of the agent's certificate. */
  readonly fingerprint?: string | undefined;
  /** For ssh: how to log in. */
  readonly ssh?: SshLoginOptions | undefined;
  /** The broker of the board's fleet, and the certificate that it has to show; what the board's release says unless given. */
  readonly fleet?: KnownFleet | undefined;
  /** For mock: directory of the model store. */
  readonly storeDir?: string | undefined;
  /** Ends the examination. */
  readonly signal: AbortSignal;
}

/** A login on the board. */
export interface Login extends RemoteHost {
  /** A stream to a port that the board can reach. @throws PynqLlmError SSH_FORWARD_FAILED */
  forwardToHost(host: string, port: number): Promise<Duplex>;
  close(): Promise<void>;
}

/** What the checks of one examination share: the later ones use what the earlier ones opened. */
export class DoctorSession implements AsyncDisposable {
  /** The login on the board, once it worked. */
  ssh: Login | undefined;
  /** The agent, once it answered. */
  board: BoardClient | undefined;
  /** What the generation of the core's checks cost. */
  measurement: CoreMeasurement | undefined;
  #facts: Promise<BoardFacts> | undefined;
  #broker: Promise<SeenBroker | undefined> | undefined;

  constructor(
    readonly target: Target,
    readonly laptop: Laptop,
    readonly options: Examination,
  ) {}

  /** Facts of the board, read once over SSH; undefined without a login. */
  facts(): Promise<BoardFacts> | undefined {
    const { ssh } = this;
    if (ssh === undefined) return undefined;
    // Through sh: the user's own shell may be any.
    this.#facts ??= ssh
      .exec('sh -s', { stdin: factsScript(), timeoutMs: FACTS_MS, signal: this.options.signal })
      .then(({ stdout }) => parseFacts(stdout));
    return this.#facts;
  }

  /** The broker of the board's fleet, looked at once; undefined where it is of none that is known. */
  broker(): Promise<SeenBroker | undefined> {
    this.#broker ??= this.#seeBroker();
    return this.#broker;
  }

  async #seeBroker(): Promise<SeenBroker | undefined> {
    const { ssh, target, options } = this;
    const fleet = options.fleet ?? (await this.facts())?.fleet;
    if (fleet === undefined) return undefined;
    if (ssh !== undefined) return seeBroker(fleet, (host, port) => ssh.forwardToHost(host, port));
    const why = target.kind === 'ssh' ? 'the SSH login failed' : 'needs a device reached by ssh://USER@HOST';
    return seeBroker(fleet, why);
  }

  /** The device of the agent: what the agent says, else what its unit would start; undefined where neither is known. */
  deviceOf(facts: BoardFacts): string | undefined {
    return this.board?.info.device ?? facts.agentDevice;
  }

  /** The board's description, where the agent answers. */
  get info(): BoardInfo | undefined {
    return this.board?.info;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.board?.close();
    await this.ssh?.close();
  }
}
