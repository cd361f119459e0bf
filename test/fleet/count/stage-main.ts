import { MessageChannel, Worker } from 'node:worker_threads';
import { connectNats } from '../../../bus/nats/connect.js';
import { PlanRun } from '../../../fleet/member/plan-run.js';
import { readHop } from '../../../fleet/pipeline/hop.js';
import { hopsTo } from '../../../fleet/subjects.js';
import { countedPlan, STAGE } from './counted-plan.js';

// The second of three stages of a plan, on a device that takes no time: a thread that gives back what it is given.
const [url, width] = [process.argv[2]!, Number(process.argv[3])];
const { port1, port2 } = new MessageChannel();
const echo =
  "import { workerData as port } from 'node:worker_threads'; port.on('message', (of) => port.postMessage(of, [of.buffer]));";
new Worker(new URL(`data:text/javascript,${encodeURIComponent(echo)}`), {
  workerData: port2,
  transferList: [port2],
});
const running: ((hidden: Float32Array) => void)[] = [];
port1.on('message', (hidden: Float32Array) => running.shift()!(hidden));

const bus = await connectNats({ url, timeoutMs: 120_000 });
const run = new PlanRun({
  bus,
  board: STAGE,
  plan: countedPlan(width),
  index: 1,
  stages: {
    begin: () => {},
    end: () => {},
    complete: () => {},
    run: (_model, _plan, _batch, hidden) =>
      new Promise((resolve) => {
        running.push(resolve);
        port1.postMessage(hidden, [hidden!.buffer]);
      }),
  },
  onLost: (error) => {
    console.error(error);
    process.exit(1);
  },
});
await bus.subscribe(hopsTo(STAGE), ({ subject, data }) => {
  run.take(readHop(data), subject.slice(subject.lastIndexOf('.') + 1));
}).ready;
console.log('ready');
