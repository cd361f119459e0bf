import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { type StageBatch, stepTogether, TensorMember } from '../../../../llm/index.js';
import { loadPart, type MemberJob, type MemberReport, runRequests, runSteps } from './members.js';

type Results = Pick<MemberReport, 'logits' | 'outcomes'>;
type Part = ReturnType<typeof loadPart>;

const NOTHING: Results = { logits: [], outcomes: [] };

/** The engine of the first member, which tells the others of each batch. */
function generate({ model, lane }: Part, { work, ports }: MemberJob): Results {
  if (!('requests' in work)) return NOTHING;
  const outcomes = runRequests(model, work, true, (engine) => {
    stepTogether(engine, lane, (batch) => {
      for (const port of ports) port.postMessage(batch);
    });
  });
  for (const port of ports) port.postMessage(undefined);
  return { logits: [], outcomes };
}

async function follow({ model, lane }: Part, { ports: [port], silent, member }: MemberJob): Promise<Results> {
  const tensorMember = new TensorMember(model, lane);
  const batches: (StageBatch | undefined)[] = [];
  port.on('message', (batch: StageBatch | undefined) => batches.push(batch));
  for (let done = 0; ; done++) {
    if (batches.length === 0) await once(port, 'message');
    const batch = batches.shift();
    if (batch === undefined) return NOTHING;
    if (silent === member && done > 0) continue;
    tensorMember.run(batch);
  }
}

async function run(job: MemberJob): Promise<MemberReport> {
  const part = loadPart(job);
  const { model, lane, board } = part;
  const { work, member, fails } = job;
  if (fails?.member === member) board?.injectFault({ name: 'dma-decode-error', count: fails.times });
  let results = NOTHING;
  let error: MemberReport['error'];
  try {
    if ('steps' in work) {
      const begin = (batch: number) => lane.begin(batch);
      results = { logits: runSteps(model, work.steps, begin), outcomes: [] };
    } else results = member === 0 ? generate(part, job) : await follow(part, job);
  } catch (thrown) {
    const { code, message } = thrown as { code: string; message: string };
    error = { code, message };
  } finally {
    for (const port of job.ports) port.close();
    part.close();
  }
  return { ...lane.sent, ...results, faults: { ...model.partFaults! }, ...(error && { error }) };
}

parentPort?.on('message', (job: MemberJob) => {
  run(job).then(
    (report) => parentPort?.postMessage(report),
    (error) => {
      throw error;
    },
  );
});

parentPort?.postMessage('ready');
