import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { isPynqLlmError, PynqLlmError } from '../../errors/index.js';
import {
  type BoardDesign,
  DESIGN_FILES,
  type DesignSource,
  readDesign,
} from '../../firmware-bridge/index.js';
import { callback, milliseconds, optionsOf, requireArguments, signal } from '../arguments.js';
import type { RemoteHost, SshPrompts } from '../ssh/index.js';
import { type BoardState, type InstalledRelease, Switch } from './board-state.js';
import { checkAgent, isRunning } from './check-agent.js';
import { DEPLOY_FLEET, type DeployFleet, FLEET_FILE, fleetFile, keyOf } from './fleet.js';
import { DESIGN_FOLDER, LAYOUT, type Layout, socketOf } from './layout.js';
import { type NodeArchive, withNodeOf } from './node-archive.js';
import { plain, plainLayout } from './plain.js';
import { type Platform, platformOf } from './platforms.js';
import { type BoardFacts, factsCommand, judge, type PreflightCheck, parseFacts } from './preflight.js';
import { prepareBoard } from './prepare-board.js';
import { buildRelease, type Release, shippedBundle } from './release.js';
import { commandFailed, findRootAccess, RootShell } from './root-shell.js';
import { bytesToSend, sendRelease, takeInventory } from './send-release.js';
import type { ServiceManager } from './service-manager.js';
import { switchScript } from './switch-script.js';
import { systemd } from './systemd.js';

const HEALTH_MS = 180_000;
const ACCESS = z.object({
  access: optionsOf({ password: z.string().optional(), withoutSystemd: z.string().optional() }),
});
const SHA256 = z.string().regex(/^[0-9a-fA-F]{64}$/, 'must be 64 hexadecimal digits');
const DEPLOY = z.object({
  options: optionsOf({
    device: z.string().optional(),
    vectors: z.string().optional(),
    node: z
      .union(
        [z.literal('npm'), optionsOf({ path: z.string(), sha256: SHA256.optional() })],
        "must be 'npm' or an archive",
      )
      .optional(),
    bundle: z.string().optional(),
    fleet: DEPLOY_FLEET.optional(),
    healthMs: milliseconds,
    staysMs: milliseconds,
    onStep: callback,
    signal,
  }),
});

/** An agent that fails as soon as it does more than start has failed by then. */
const STAYS_MS = 5_000;
/** So much longer than the laptop's own deadline the board waits before it reverts by itself. */
const GRACE_S = 60;

/** What a deploy does now. */
export type DeployStep =
  | {
      readonly step: 'check';
      /** What was looked at on the board. */
      readonly check: PreflightCheck;
    }
  | {
      /**
       * `fetch` the agent's Node.js, put the release together, have the fleet's broker know the board, activate the release, verify it,
       * or go back to the one before.
       */
      readonly step: 'fetch' | 'assemble' | 'enrol' | 'activate' | 'verify' | 'revert';
    }
  | {
      readonly step: 'send';
      /** Bytes of the release that are on the board. */
      readonly bytes: number;
      /** Bytes of the whole release. */
      readonly totalBytes: number;
    };

/** What is put on a board, and how it has to prove itself. */
export interface DeployOptions {
  /** Device URL of the agent; the accelerator of the board it runs on. */
  readonly device?: string | undefined;
  /** Which board it is and what its FPGA is to hold; the design of the active release. */
  readonly design?: DesignSource | undefined;
  /** Whether the agent may use /dev/mem where no UIO device covers a register window; no unless told. */
  readonly allowDevMem?: boolean | undefined;
  /**
   * The Node.js of the release: an archive of nodejs.org, or `npm` for what npm has. Left out, it is npm's too, unless the
   * board runs a newer one.
   */
  readonly node?: NodeArchive | 'npm' | undefined;
  /** The fleet that the board is made part of, `false` for none; that of the active release. */
  readonly fleet?: DeployFleet | false | undefined;
  /** Golden vectors for the self-test; none, no self-test. */
  readonly vectors?: string | undefined;
  /** Milliseconds within which the new agent has to pass; 3 minutes. */
  readonly healthMs?: number | undefined;
  /** Milliseconds that the new agent has to go on running after it has passed; 5 seconds. */
  readonly staysMs?: number | undefined;
  /** The agent's bundle; the package's own. */
  readonly bundle?: string | undefined;
  /** Told what is done, at the beginning of each step and while files are sent. */
  readonly onStep?: ((step: DeployStep) => void) | undefined;
  /** Gives up; the board keeps the agent that it has. */
  readonly signal?: AbortSignal | undefined;
}

/** How one becomes root on a board. */
export interface BoardAccess {
  /** Asks for the password of sudo; without it none is asked for. */
  readonly prompts?: SshPrompts | undefined;
  /** The login's password, which sudo is given first. */
  readonly password?: string | undefined;
  /**
   * A folder of the user who logs in, for boards without systemd: the agent is a plain process there, which takes no
   * root's rights and which nothing starts at boot.
   */
  readonly withoutSystemd?: string | undefined;
}

/** What a deploy did. */
export interface DeployResult {
  /** Digest of the release. */
  readonly release: string;
  /** Version of the package that it is of. */
  readonly version: string;
  /** The agent of the same release ran already and was healthy. */
  readonly unchanged: boolean;
  /** Bytes that had to be sent. */
  readonly sentBytes: number;
  /** Golden checks that the new agent passed; 0 without a self-test. */
  readonly selfTestChecks: number;
  /** The board's public key in the fleet that was given. */
  readonly fleetKey?: string;
}

/** Puts releases of the agent on a board and takes them off. */
export class Deployer {
  readonly #host: RemoteHost;
  readonly #layout: Layout;
  readonly #manager: ServiceManager;
  readonly #facts: BoardFacts;
  readonly #root: RootShell | undefined;

  private constructor(
    host: RemoteHost,
    layout: Layout,
    manager: ServiceManager,
    facts: BoardFacts,
    root: RootShell | undefined,
  ) {
    this.#host = host;
    this.#layout = layout;
    this.#manager = manager;
    this.#facts = facts;
    this.#root = root;
  }

  /** Looks at a board and finds out how to become root there. @throws PynqLlmError SSH_... */
  static async open(host: RemoteHost, access: BoardAccess = {}): Promise<Deployer> {
    requireArguments({ access }, ACCESS);
    const { withoutSystemd: folder } = access;
    const layout = folder === undefined ? LAYOUT : plainLayout(folder);
    const manager = folder === undefined ? systemd : plain;
    const result = await host.exec(factsCommand(layout, manager));
    const facts = parseFacts(result.stdout, Date.now() / 1000);
    if (facts.uid < 0) throw commandFailed('say what it is', result);
    const root = manager.needsRoot
      ? await findRootAccess(
          host,
          facts.uid,
          access.password,
          access.prompts,
          `Password of ${facts.user} for sudo`,
        )
      : { kind: 'direct' as const };
    return new Deployer(
      host,
      layout,
      manager,
      facts,
      root === undefined ? undefined : new RootShell(host, root),
    );
  }

  /**
   * Makes the board run this package's agent. What the board has is not sent again; a deploy that was cut off goes on
   * where it was. Until the new agent has passed its checks, the board goes back by itself to the one before.
   * @throws PynqLlmError DEPLOY_..., SSH_...
   */
  async deploy(options: DeployOptions = {}): Promise<DeployResult> {
    requireArguments({ options }, DEPLOY);
    const { onStep } = options;
    const { node } = options;
    const own = platformOf(this.#facts.machine);
    const isArchive = own !== undefined && node !== undefined && node !== 'npm';
    const platform = isArchive ? await withNodeOf(own, node, options.signal) : own;
    const given = options.design && readDesign(options.design);
    const state = this.#root === undefined ? undefined : await this.#switch().status();
    const plan = this.#plan(options, given, state?.design ?? new Map());
    this.#preflight(platform, plan, 0, onStep);
    if (platform === undefined || state === undefined)
      throw new Error('the preflight refuses unknown machines, and users who may not become root');
    if (node === undefined) requireNotOlder(state, platform.nodeVersion);
    onStep?.({ step: 'fetch' });
    const release = await this.#build(platform, plan, options);
    const about = { release: release.digest, version: release.version };
    if (isCurrent(state, release.digest) && state.pending === undefined) {
      const enrolled = await this.#enrol(release.digest, options);
      onStep?.({ step: 'verify' });
      const { selfTestChecks } = await this.#check(release.digest, options, 0);
      return { ...about, ...enrolled, unchanged: true, sentBytes: 0, selfTestChecks };
    }
    const sentBytes = state.releases.some(({ digest }) => digest === release.digest)
      ? 0
      : await this.#send(release, platform, plan, options);
    const enrolled = await this.#enrol(release.digest, options);
    const { selfTestChecks } = await this.#activate(release.digest, options);
    return { ...about, ...enrolled, unchanged: false, sentBytes, selfTestChecks };
  }

  /** The agent's socket on the board. */
  get socket(): string {
    return socketOf(this.#layout);
  }

  /** The releases on the board, the active one first. */
  async list(): Promise<InstalledRelease[]> {
    const { releases } = await this.#switch().status();
    return releases.toSorted((a, b) => rank(a) - rank(b));
  }

  /** Activates the release before the active one. @throws PynqLlmError DEPLOY_NO_RELEASE, DEPLOY_UNHEALTHY */
  async rollback(options: DeployOptions = {}): Promise<InstalledRelease> {
    const { releases } = await this.#switch().status();
    const previous = releases.find((release) => release.previous && !release.active);
    if (previous === undefined)
      throw new PynqLlmError('DEPLOY_NO_RELEASE', 'The board has no release before the active one.');
    await this.#activate(previous.digest, options);
    return previous;
  }

  /** Removes a release, named by its first digits. @throws PynqLlmError DEPLOY_NO_RELEASE, DEPLOY_RELEASE_IN_USE */
  async remove(name: string): Promise<InstalledRelease> {
    const board = this.#switch();
    const { releases } = await board.status();
    const found = releases.filter(({ digest }) => digest.startsWith(name));
    if (found.length !== 1 || name === '')
      throw new PynqLlmError(
        'DEPLOY_NO_RELEASE',
        `${found.length} releases on the board begin with "${name}".`,
      );
    await board.remove(found[0].digest);
    return found[0];
  }

  /** Stops the agent and removes it with all releases. Models, tokens and the agent's user stay. */
  uninstall(): Promise<void> {
    return this.#switch().uninstall();
  }

  #rootShell(): RootShell {
    if (this.#root === undefined)
      throw new PynqLlmError('DEPLOY_PREFLIGHT', `${this.#facts.user} may not become root with sudo.`);
    return this.#root;
  }

  #switch(): Switch {
    return new Switch(this.#rootShell(), this.#manager, this.#layout);
  }

  #preflight(
    platform: Platform | undefined,
    plan: Plan,
    diskBytes: number,
    onStep: DeployOptions['onStep'],
  ): void {
    const checks = judge(this.#facts, {
      platform,
      nowMs: Date.now(),
      diskBytes,
      usesHardware: plan.device.startsWith('linux'),
      design:
        plan.hasDesign || namesBoard(plan.device)
          ? { architecture: plan.given?.architecture, programsFpga: plan.programsFpga }
          : undefined,
      mayProgram: this.#manager.programsFpga,
      lacksRoot: this.#root === undefined,
    });
    const failed = checks.filter(({ verdict }) => verdict === 'fail');
    if (diskBytes === 0 || failed.length > 0) for (const check of checks) onStep?.({ step: 'check', check });
    if (failed.length > 0)
      throw new PynqLlmError(
        'DEPLOY_PREFLIGHT',
        failed.map(({ name, found, fix }) => `${name}: ${found}. ${fix}`).join(' '),
        { context: { failed: failed.map(({ name }) => name) } },
      );
  }

  /** @param active the design and the fleet of the active release, which stay unless others are given */
  #plan(options: DeployOptions, given: BoardDesign | undefined, active: ReadonlyMap<string, string>): Plan {
    const kept = new Map(
      [...active].filter(([path]) => (path === FLEET_FILE ? options.fleet : given) === undefined),
    );
    const has = (file: string) => given?.files[file] !== undefined || kept.has(`${DESIGN_FOLDER}/${file}`);
    const hasDesign = has(DESIGN_FILES.board);
    const place = hasDesign ? `${this.#layout.base}/current/${DESIGN_FOLDER}/${DESIGN_FILES.board}` : '';
    const device = options.device ?? `linux:${place}${options.allowDevMem ? '?devmem=1' : ''}`;
    return { device, given, kept, hasDesign, programsFpga: has(DESIGN_FILES.bitstream) };
  }

  #build(platform: Platform, plan: Plan, options: DeployOptions): Promise<Release> {
    const { device, given, kept, programsFpga } = plan;
    const { fleet } = options;
    const service = {
      layout: this.#layout,
      device,
      programsFpga,
      loginUid: this.#facts.uid,
      allowDevMem: options.allowDevMem === true,
    };
    const design = Object.entries(given?.files ?? {});
    const more = {
      ...this.#manager.files(service),
      ...Object.fromEntries(design.map(([name, data]) => [`${DESIGN_FOLDER}/${name}`, data])),
      ...(fleet && { [FLEET_FILE]: fleetFile(this.#layout, fleet) }),
      'system/switch.sh': switchScript(this.#manager, this.#layout),
    };
    return buildRelease(platform, options.bundle ?? shippedBundle(), more, kept, options.signal);
  }

  async #send(release: Release, platform: Platform, plan: Plan, options: DeployOptions): Promise<number> {
    const { onStep, signal } = options;
    const root = this.#rootShell();
    for (let attempt = 1; ; attempt++) {
      const inventory = await takeInventory(this.#host, this.#layout);
      // A file of an installed release that turned out to be broken is sent anew.
      const usable = attempt === 1 ? inventory : { ...inventory, installed: new Map<string, string>() };
      const bytes = bytesToSend(release, usable);
      // Before folders are made: what is short is named before anything is written.
      if (attempt === 1) this.#preflight(platform, plan, bytes.store, onStep);
      await prepareBoard(root, this.#manager, this.#layout, this.#facts.uid);
      try {
        await sendRelease(
          this.#host,
          root,
          this.#layout,
          release,
          usable,
          (bytes, totalBytes) => {
            onStep?.(bytes === totalBytes ? { step: 'assemble' } : { step: 'send', bytes, totalBytes });
          },
          signal,
        );
        return bytes.send;
      } catch (error) {
        if (!isPynqLlmError(error, 'DEPLOY_TRANSFER') || attempt > 1) throw error;
      }
    }
  }

  /** Has the board's key made, where it has none, and the broker told of it. @throws PynqLlmError SSH_COMMAND_FAILED; as the caller */
  async #enrol(release: string, { fleet, onStep }: DeployOptions): Promise<{ fleetKey?: string }> {
    if (fleet === undefined || fleet === false) return {};
    onStep?.({ step: 'enrol' });
    const fleetKey = await this.#switch().key(release, keyOf(this.#layout));
    await fleet.enrol(fleetKey);
    return { fleetKey };
  }

  async #activate(release: string, options: DeployOptions): Promise<{ selfTestChecks: number }> {
    const { onStep, healthMs = HEALTH_MS } = options;
    const board = this.#switch();
    const token = randomBytes(16).toString('hex');
    options.signal?.throwIfAborted();
    onStep?.({ step: 'activate' });
    try {
      await board.activate(release, token, Math.ceil(healthMs / 1000) + GRACE_S);
      onStep?.({ step: 'verify' });
      const result = await this.#check(release, options, options.staysMs ?? STAYS_MS);
      if (!(await board.confirm(token)))
        throw new PynqLlmError('DEPLOY_UNHEALTHY', 'The board went back before the checks were done.');
      return result;
    } catch (error) {
      // Without a connection the board does the same by itself when its time is up.
      if (isPynqLlmError(error, 'SSH_CONNECTION_LOST')) throw error;
      onStep?.({ step: 'revert' });
      await board.revert(token);
      throw await this.#reverted(error, board);
    }
  }

  async #reverted(error: unknown, board: Switch): Promise<unknown> {
    if (!isPynqLlmError(error, 'DEPLOY_UNHEALTHY')) return error;
    const active = (await board.status()).releases.find((release) => release.active)?.digest;
    const now = active === undefined ? 'Nothing runs now' : `The release ${active.slice(0, 12)} is back`;
    return new PynqLlmError('DEPLOY_UNHEALTHY', `${error.what} ${now}.`, { cause: error });
  }

  #check(release: string, options: DeployOptions, staysMs: number): Promise<{ selfTestChecks: number }> {
    return checkAgent(this.#host, this.#switch(), {
      socket: socketOf(this.#layout),
      release,
      vectors: options.vectors,
      deadlineMs: options.healthMs ?? HEALTH_MS,
      staysMs,
      signal: options.signal,
    });
  }
}

/** What a release is to be made of, beside the package's own bundle. */
interface Plan {
  /** Device URL of the agent. */
  readonly device: string;
  readonly given: BoardDesign | undefined;
  /** Files of the active release's design and fleet: SHA-256 by path. */
  readonly kept: ReadonlyMap<string, string>;
  readonly hasDesign: boolean;
  readonly programsFpga: boolean;
}

/** Whether a device URL of the board's own accelerator says which board it is. */
function namesBoard(device: string): boolean {
  return /^linux:[^?]/.test(device);
}

function isCurrent(state: BoardState, release: string): boolean {
  return (
    isRunning(state, release) && state.releases.some(({ digest, active }) => active && digest === release)
  );
}

/** What an archive put there is not taken away unasked. @throws PynqLlmError DEPLOY_NODE_OLDER */
function requireNotOlder({ releases }: BoardState, version: string): void {
  const active = releases.find((release) => release.active)?.node;
  if (active === undefined || !isNewer(active, version)) return;
  throw new PynqLlmError(
    'DEPLOY_NODE_OLDER',
    `The board's agent runs on Node.js ${active}; npm has ${version} for it.`,
    { context: { active, version } },
  );
}

/** Whether the first of two versions is the newer one; one that cannot be read is not. */
function isNewer(one: string, other: string): boolean {
  const others = other.split('.').map(Number);
  const difference = one.split('.').map((part, i) => Number(part) - others[i]);
  return (difference.find((by) => by !== 0) ?? 0) > 0;
}

/** Active first, then the one that a rollback goes to. */
function rank({ active, previous }: InstalledRelease): number {
  return active ? 0 : previous ? 1 : 2;
}
