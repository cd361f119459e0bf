// Two clients share one board; the first cancels its generation while the second goes on.
// node examples/two-clients.mjs [URL of an agent], which starts an agent with a mock board unless it is given one.
import { fileURLToPath } from 'node:url';
import { connect } from 'pynq-llm';
import { startAgent } from 'pynq-llm/agent';

const file = fileURLToPath(new URL('../models/tiny-stories-Q3_K_M.gguf', import.meta.url));
const [url] = process.argv.slice(2);
const agent = url === undefined ? await startAgent({ device: 'mock:', listen: '127.0.0.1:0' }) : undefined;
const place = url ?? agent?.url ?? '';
const [first, second] = await Promise.all([connect(place), connect(place)]);
try {
  const [impatient, patient] = await Promise.all([first.models.upload(file), second.models.upload(file)]);
  const cancel = new AbortController();
  const options = { maxTokens: 40, temperature: 0, ignoreEos: true };
  const long = impatient.generate('Tom had a red ball.', { ...options, signal: cancel.signal });
  const whole = patient.generate('Lily saw a big dog.', options).text();
  let read = 0;
  try {
    for await (const _ of long) if (++read === 5) cancel.abort();
  } catch (error) {
    // The loop ends with the reason that the signal was aborted for.
    if (error !== cancel.signal.reason) throw error;
  }
  console.log(`first client: cancelled after ${read} tokens`);
  console.log(`second client: Lily saw a big dog.${await whole}`);
} finally {
  await Promise.all([first.close(), second.close()]);
  await agent?.close();
}
