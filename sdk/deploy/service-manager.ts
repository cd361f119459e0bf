import type { Layout } from './layout.js';

/** How the agent of a release is to run; part of the release. */
export interface ServiceOptions {
  readonly layout: Layout;
  /** Device URL of the agent. */
  readonly device: string;
  /**
   * Who logs in through SSH, and so may use the agent's socket. Their number: a name may have characters that units and
   * shells read as something else, as those of domain users do.
   */
  readonly loginUid: number;
  /** Whether the agent may open /dev/mem: all of the board's memory. */
  readonly allowDevMem: boolean;
  /** Whether the release has a bitstream, which is programmed before every start of the agent. */
  readonly programsFpga: boolean;
}

/** What starts and stops the agent on a board: POSIX shell for switch.sh, and files of the release. */
export interface ServiceManager {
  readonly name: 'systemd' | 'plain';
  /** Whether it takes root on the board. */
  readonly needsRoot: boolean;
  /** Whether it can program the FPGA before the agent starts. */
  readonly programsFpga: boolean;
  /** Names of programs that have to be there. */
  readonly tools: readonly string[];
  /**
   * The file of shell functions: `start_agent` starts what `current` leads to in place of what runs; `stop_agent`;
   * `agent_pid` prints its process; `later SECONDS COMMAND…` runs a command without us, `as_agent COMMAND…` one as the agent's user; `remove_service`.
   */
  readonly functions: URL;
  /** The file that makes users and folders, where `make_tokens OWNER` makes tokens; running it again changes nothing. */
  readonly prepare: URL;
  /** Files of the release, below system/. */
  files(options: ServiceOptions): Readonly<Record<string, string>>;
}
