import { readFileSync } from 'node:fs';
import { connectInProcess } from '../../../agent/in-process.js';
import { connectNats } from '../../../bus/nats/connect.js';
import type { MemberAgent } from '../../../fleet/member/agent-link.js';
import { Member } from '../../../fleet/member/member.js';
import { TimedAgent } from './timed-agent.js';

// A board of a fleet whose tokens come by the clock.
const [url, name, said] = process.argv.slice(2);
const { host } = new TimedAgent(JSON.parse(readFileSync(said!, 'utf8')));
const bus = await connectNats({ url: url!, timeoutMs: 60_000 });
const stages = { onLost: () => () => {} } as unknown as MemberAgent['stages'];
const log = { info: () => {}, warn: console.error, error: console.error };
console.log('ready');
await Member.join({
  bus,
  name: name!,
  log,
  agent: { connect: (events) => connectInProcess(host, events), stages },
});
