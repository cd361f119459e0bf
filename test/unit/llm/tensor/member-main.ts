import { parentPort, workerData } from 'node:worker_threads';
import { loadPart, type MemberReport, type MemberSetup, runSteps } from './members.js';

const setup = workerData as MemberSetup;
const { model, lane, close } = loadPart(setup);
let logits: MemberReport['logits'] = [];
let error: MemberReport['error'];
try {
  logits = runSteps(model, setup.steps, (batch) => lane.begin(batch));
} catch (thrown) {
  const { code, message } = thrown as { code: string; message: string };
  error = { code, message };
} finally {
  close();
}
const report: MemberReport = { ...lane.sent, logits, ...(error && { error }) };
parentPort?.postMessage(report);
