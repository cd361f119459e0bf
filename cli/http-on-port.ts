import type { AgentHandle } from '../agent/index.js';

/** What is asked for by machines that watch. */
const WATCHED = new Set(['/health', '/metrics']);
/** A session that was lost, with the device's worker perhaps, is opened again for so long. */
const RECONNECT_MS = 15_000;

/** The OpenAI API on a daemon's port, through a session inside its process. */
export async function httpOnPort(
  origins: readonly string[],
  maxSilentMs: number | undefined,
): Promise<(agent: AgentHandle) => Disposable> {
  const [{ serveOnAgent }, { openBoard }] = await Promise.all([
    import('../http-api/index.js'),
    import('../sdk/open-board.js'),
  ]);
  return (agent) =>
    serveOnAgent(agent, {
      origins,
      maxSilentMs,
      onUnexpected: (err) => agent.log.error({ err }, 'unexpected error in the HTTP API'),
      // Whoever watches asks every few seconds.
      onAnswered: (entry) => {
        if (!WATCHED.has(entry.route)) agent.log.info({ ...entry }, 'answered');
      },
      open: (signal) =>
        openBoard(async (events) => agent.connect(events), { signal, client: 'HTTP API' }, RECONNECT_MS),
    });
}
