import type { BoardShell } from './board-shell.js';

const UNIT = '/etc/systemd/system/pynq-llm.service';
const PROBE = '/run/systemd/system/pynq-llm-probe.service';
const FOLDER = '/run/pynq-llm-probe';
/** The program, and what watches over its life, are the probe's own; the agent's socket stays when the probe ends. */
const OVERRIDES = `[Service]
Type=oneshot
ExecStartPre=
ExecStart=
ExecStart=/bin/sh ${FOLDER}/script
ExecStartPost=
StandardOutput=truncate:${FOLDER}/output
WatchdogSec=0
Restart=no
RuntimeDirectoryPreserve=yes`;
const PROBE_MS = 300_000;

/** How a command ended in the place of the agent. */
export interface ProbeResult {
  readonly succeeded: boolean;
  /** Of both outputs, without the last line break. */
  readonly output: string;
}

/**
 * Runs shell commands in the place of the agent: in a copy of its installed unit, so with its user and under every
 * restriction that it has.
 *
 * @param commands by name
 * @returns what became of each, by name
 */
export async function runInUnit<Name extends string>(
  shell: BoardShell,
  commands: Readonly<Record<Name, string>>,
): Promise<Record<Name, ProbeResult>> {
  const entries = Object.entries<string>(commands);
  const lines = entries.map(
    ([, command]) => `said=$( (${command}) 2>&1 </dev/null ); echo "$? $(printf %s "$said" | base64 -w 0)"`,
  );
  const steps = [
    `mkdir -p ${FOLDER} ${PROBE}.d`,
    `cat > ${FOLDER}/script <<'END'\n${lines.join('\n')}\nEND`,
    `cp ${UNIT} ${PROBE}`,
    `cat > ${PROBE}.d/probe.conf <<'END'\n${OVERRIDES}\nEND`,
    'systemctl daemon-reload',
    'systemctl start pynq-llm-probe.service; status=$?',
    `cat ${FOLDER}/output`,
    `rm -r ${FOLDER} ${PROBE} ${PROBE}.d; systemctl daemon-reload; exit $status`,
  ];
  const printed = (await shell.sudo(steps.join('\n'), PROBE_MS)).split('\n');
  const results = entries.map(([name], index): [string, ProbeResult] => {
    const [status, said = ''] = printed[index].split(' ');
    return [name, { succeeded: status === '0', output: Buffer.from(said, 'base64').toString() }];
  });
  return Object.fromEntries(results) as Record<Name, ProbeResult>;
}
