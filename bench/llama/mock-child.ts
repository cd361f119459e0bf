import { loadBoardDescription } from '../../board/index.js';
import { Accelerator } from '../../driver/index.js';
import { fileSource, openGguf } from '../../gguf/index.js';
import { loadModel, Sampler } from '../../llm/index.js';
import { openMockBoard } from '../../mock-device/index.js';
import { type RunTask, serveRuns } from './timed-run.js';

// The engine's model on the mock, in a process of its own and on one thread.
const task = JSON.parse(process.argv[2]) as RunTask;
const accelerator = new Accelerator(openMockBoard(loadBoardDescription('kv260')));
const contextLength = task.promptTokens + task.newTokens;
const model = loadModel(openGguf(fileSource(task.file)), { accelerator, contextLength });
const cache = model.newCache();
const logits = new Float32Array(model.config.vocabSize);
const sampler = new Sampler({ temperature: 0 }, model.config.vocabSize);
let position = 0;

serveRuns(task, {
  prefill(prompt) {
    const last = prompt.length - 1;
    model.forward(
      prompt.map((token, i) => ({ cache, token, position: i, logits: i === last ? logits : undefined })),
    );
    position = prompt.length;
  },
  decode() {
    const token = sampler.sample(logits).id;
    model.forward([{ cache, token, position: position++, logits }]);
  },
});
