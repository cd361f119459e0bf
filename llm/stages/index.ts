export type { CacheChange, StageBatch } from './batch.js';
export { CacheMirror } from './mirror.js';
export { CacheRecorder } from './recorder.js';
export { Stage } from './stage.js';
export { stagePool } from './stage-pool.js';
