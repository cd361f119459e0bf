import { quote } from '../ssh/index.js';
import type { Layout } from './layout.js';
import { agentCommand, makeTokens, type ServiceManager } from './service-manager.js';

/** Seconds that an agent has to end by itself. */
const STOP_SECONDS = 15;

/** Where things are for `plain`: in a folder of the user who logs in. */
export function plainLayout(folder: string): Layout {
  return {
    base: `${folder}/agent`,
    state: `${folder}/state`,
    config: `${folder}/config`,
    run: `${folder}/run`,
  };
}

/**
 * A process of the user who logs in, started by the shell: for boards without systemd, and without root's rights. Its
 * log is agent.log beside the models. Nothing starts it at boot.
 */
export const plain: ServiceManager = {
  name: 'plain',
  needsRoot: false,
  programsFpga: false,
  tools: ['setsid'],
  functions: ({ state, run }) => `agent_pid() { cat ${quote(`${run}/agent.pid`)} 2>/dev/null || true; }
stop_agent() {
  # The number of a process that is gone may belong to another one by now.
  [ "$(running)" ] || return 0
  pid=$(agent_pid)
  kill "$pid" 2>/dev/null || return 0
  for i in $(seq ${STOP_SECONDS * 10}); do kill -0 "$pid" 2>/dev/null || return 0; sleep 0.1; done
  kill -9 "$pid" 2>/dev/null || true
}
start_agent() {
  stop_agent
  mkdir -p ${quote(run)}
  rm -f ${quote(`${run}/agent.pid`)}
  setsid sh "$base/current/system/run.sh" </dev/null >>${quote(`${state}/agent.log`)} 2>&1 9>&- &
  for i in $(seq 50); do [ ! -s ${quote(`${run}/agent.pid`)} ] || break; sleep 0.1; done
}
later() {
  ( seconds=$1; shift; setsid sh -c 'sleep "$1"; shift; exec "$@"' later "$seconds" "$@" </dev/null >/dev/null 2>&1 9>&- & )
}
remove_service() { stop_agent; rm -f ${quote(`${run}/agent.pid`)}; }`,
  prepare: (layout) => `mkdir -p ${[layout.state, layout.run, layout.config].map(quote).join(' ')}
chmod 700 ${[layout.state, layout.run].map(quote).join(' ')}
${makeTokens(layout, '"$(id -u)"')}`,
  files: (options) => ({
    'system/run.sh': `# Written by \`pynq-llm deploy\`.
echo $$ > ${quote(`${options.layout.run}/agent.pid`)}
exec ${agentCommand(options, quote)}
`,
  }),
};
