import { totalmem } from 'node:os';
import { readAvailableMemory } from '../../linux-device/index.js';
import type { SystemMemory } from '../../llm/index.js';
import { CHUNK_BYTES } from '../../protocol/index.js';
import { parseDeviceUrl } from './open-board.js';

/** Chunks of an upload under way, each in its frame and on its way to the file: sdk/upload.ts sends four at a time. */
const UPLOAD_BYTES = 2 * 4 * CHUNK_BYTES;

/**
 * Memory of the machine that the agent runs on, as it is at each call.
 * @param url the device's, as `openBoard` takes it
 */
export function systemMemoryOf(url: string): () => SystemMemory {
  const device = parseDeviceUrl(url);
  const isMock = device.kind === 'mock' && device.memory === undefined;
  return () => {
    const memory = readAvailableMemory() ?? {
      available: totalmem(),
      source: 'all of it: this system does not say what is free',
    };
    return { ...memory, uploads: UPLOAD_BYTES, isMock };
  };
}
