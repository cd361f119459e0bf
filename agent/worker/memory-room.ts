import type { SystemMemory } from '../../llm/index.js';

/**
 * What of the system's memory models may still take. Memory that a model has reserved costs nothing before it is
 * touched, so that the system calls it available: it is promised, and no other model may have it.
 */
export class MemoryRoom {
  readonly #system: () => SystemMemory;
  readonly #residentBytes: () => number;
  readonly #promised = new Map<string, number>();
  /** The process before the first model. */
  #before: number | undefined;

  /** @param residentBytes of the process */
  constructor(system: () => SystemMemory, residentBytes: () => number = () => process.memoryUsage.rss()) {
    this.#system = system;
    this.#residentBytes = residentBytes;
  }

  /** For a model beside those that are loaded. */
  left(): SystemMemory {
    const system = this.#system();
    const promised = [...this.#promised.values()].reduce((sum, bytes) => sum + bytes, 0);
    const untouched = Math.max(0, promised - this.#taken());
    // Room for an upload is one for all models.
    const uploads = this.#promised.size > 0 ? 0 : system.uploads;
    return { ...system, uploads, available: Math.max(0, system.available - untouched) };
  }

  /** For a model that has the board alone: what the loaded ones hold would be free. */
  alone(): SystemMemory {
    const system = this.#system();
    return { ...system, available: system.available + (this.#promised.size > 0 ? this.#taken() : 0) };
  }

  /** @param bytes that the model may take in all; to be called before it is loaded */
  promise(model: string, bytes: number): void {
    this.#before ??= this.#residentBytes();
    this.#promised.set(model, bytes);
  }

  free(model: string): void {
    this.#promised.delete(model);
    if (this.#promised.size === 0) this.#before = undefined;
  }

  /** What the process has grown by since the first model. */
  #taken(): number {
    return this.#before === undefined ? 0 : Math.max(0, this.#residentBytes() - this.#before);
  }
}
