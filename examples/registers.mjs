// Reads registers by name, counts what a generation costs, and moves bytes through DMA memory.
// node examples/registers.mjs [DEVICE]
import { fileURLToPath } from 'node:url';
import { connect } from 'pynq-llm';

const file = fileURLToPath(new URL('../models/tiny-stories-Q3_K_M.gguf', import.meta.url));
const board = await connect(process.argv[2] ?? 'mock:');
try {
  // One round trip, however many registers.
  for (const { name, address, value, fields } of await board.registers.read([
    'dma0.MM2S_DMASR',
    'dma0.S2MM_DMASR',
  ])) {
    const set = fields.filter((field) => field.value !== 0).map((field) => `${field.name}=${field.value}`);
    console.log(`${name} at 0x${address.toString(16)} is 0x${value.toString(16)}: ${set.join(' ')}`);
  }

  await board.counters.reset();
  const model = await board.models.upload(file);
  await model.generate('Once', { maxTokens: 4, temperature: 0 }).text();
  for (const { name, cycles, targetName } of (await board.counters.read()).counters)
    console.log(`${name} ${cycles} cycles in ${targetName}`);

  const buffer = await board.buffers.allocate(4096, { align: 4096 });
  await buffer.write(Uint8Array.of(1, 2, 3, 4), 16);
  const bytes = await buffer.read(14, 8);
  console.log(`DMA memory at 0x${buffer.physicalAddress.toString(16)}: ${bytes.join(' ')}`);
  await buffer.free();
} finally {
  await board.close();
}
