import { totalmem } from 'node:os';
import { readAvailableMemory } from '../../linux-device/index.js';
import type { SystemMemory } from '../../llm/index.js';
import { CHUNK_BYTES } from '../../protocol/index.js';
import { MAX_BODIES } from '../session/upload-bodies.js';
import { parseDeviceUrl } from './open-board.js';

/** A chunk for each body that is taken at a time. */
const UPLOAD_BYTES = MAX_BODIES * CHUNK_BYTES;

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
