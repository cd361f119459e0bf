import { z } from 'zod';
import { MAX_PIECE_BYTES } from '../limits.js';
import { bytes, count, piece, uint32 } from './common.js';

export const buffersAllocateParams = z.strictObject({
  byteLength: uint32.min(1),
  align: z.int().min(4).max(1_048_576).optional(),
});
export const buffersAllocateResult = z.object({ buffer: count, physicalAddress: uint32, byteLength: uint32 });
export const buffersWriteParams = z.strictObject({ buffer: count, offset: uint32, data: piece });
export const buffersReadParams = z.strictObject({
  buffer: count,
  offset: uint32,
  byteLength: z.int().min(0).max(MAX_PIECE_BYTES),
});
export const buffersReadResult = z.object({ data: bytes });
export const buffersFreeParams = z.strictObject({ buffer: count });
