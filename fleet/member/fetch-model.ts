import { Readable } from 'node:stream';
import type { Bus } from '../../bus/index.js';
import { PynqLlmError } from '../../errors/index.js';
import { CHUNK_BYTES, chunkCount, modelDigest, type OnProgress } from '../../protocol/index.js';
import { fileAnswer, MAX_PIECE_BYTES, pack, unpack } from '../messages.js';
import { MODEL_FILE, MODEL_PIECE } from '../subjects.js';
import { AgentLink, type MemberAgent } from './agent-link.js';

/** What is there of a large model is hashed before its upload goes on, and a gateway hashes its own once. */
const BEGIN_MS = 600_000;
const PIECE_MS = 30_000;
/** Chunks of one body: between two of them it is told how far it is. */
const CHUNKS = 4;

/**
 * Fetches what a stage needs of a model's file, unless the whole file is there: the chunks that have its layers, as far as they are
 * missing.
 * @throws PynqLlmError as fetchModel
 */
export async function fetchStage(
  bus: Bus,
  { stages }: MemberAgent,
  digest: string,
  stage: { readonly from: number; readonly to: number },
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<void> {
  if (await stages.hasFile(digest)) return;
  const asked = await bus.request(MODEL_FILE, pack({ digest, stage }), { timeoutMs: BEGIN_MS });
  const { bytes, chunkDigests, wanted } = unpack(fileAnswer, asked, `What model ${digest} is`);
  if (wanted?.length !== chunkCount(bytes) || modelDigest(bytes, chunkDigests) !== digest)
    throw new PynqLlmError(
      'FLEET_BAD_MESSAGE',
      `What the gateway says of model ${digest} is not that model's.`,
    );
  const read = (offset: number, byteLength: number) => pieces(bus, digest, offset, byteLength, signal);
  await stages.fetch({ digest, byteLength: bytes, chunkDigests, wanted, read }, onProgress);
}

/**
 * Fetches a model from the gateway into the store of the board's agent, unless it is there: by digest, and only the chunks that
 * are missing, as an upload does.
 * @param onProgress told how many bytes the board has
 * @throws PynqLlmError BUS_..., AGENT_MODEL_UNKNOWN where the gateway has it no more, AGENT_STORE_..., AGENT_UPLOAD_MISMATCH
 */
export async function fetchModel(
  bus: Bus,
  agent: Pick<MemberAgent, 'connect'>,
  digest: string,
  onProgress: OnProgress,
  signal: AbortSignal,
): Promise<void> {
  // What came of an upload that fails is kept when its session ends.
  const link = await AgentLink.open(agent);
  try {
    if ((await link.request('models.find', { model: digest })).models.length > 0) return;
    const asked = await bus.request(MODEL_FILE, pack({ digest }), { timeoutMs: BEGIN_MS });
    const file = unpack(fileAnswer, asked, `What model ${digest} is`);
    const begun = await link.request('models.uploadBegin', { digest, ...file }, BEGIN_MS);
    if (begun.state === 'complete') return;
    const { upload, have } = begun;
    for (let first = have.indexOf(0); first >= 0; first = have.indexOf(0, first)) {
      onProgress(Math.min(file.bytes, first * CHUNK_BYTES), file.bytes, 'bytes');
      const next = have.indexOf(1, first);
      const end = Math.min(next < 0 ? have.length : next, first + CHUNKS);
      const offset = first * CHUNK_BYTES;
      const byteLength = Math.min(end * CHUNK_BYTES, file.bytes) - offset;
      const body = Readable.from(pieces(bus, digest, offset, byteLength, signal), { highWaterMark: 1 });
      await link.sendUpload(upload, { offset, byteLength, modelBytes: file.bytes }, body);
      have.fill(1, first, end);
    }
    await link.request('models.uploadCommit', { upload }, BEGIN_MS);
  } finally {
    await link.close();
  }
}

async function* pieces(
  bus: Bus,
  digest: string,
  start: number,
  byteLength: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let offset = start; offset < start + byteLength; ) {
    signal.throwIfAborted();
    const length = Math.min(MAX_PIECE_BYTES, bus.maxPayload, start + byteLength - offset);
    const question = pack({ digest, offset, byteLength: length });
    const piece = await bus.request(MODEL_PIECE, question, { timeoutMs: PIECE_MS });
    yield piece;
    // One that is too long or damaged is refused by its digest; nothing of it would go on for ever.
    offset += Math.max(1, piece.length);
  }
}
