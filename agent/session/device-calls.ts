import type { PynqLlmError } from '../../errors/index.js';
import type { OnProgress, Result } from '../../protocol/index.js';
import type { DeviceMethod } from '../worker-link/methods.js';

interface PendingCall {
  readonly resolve: (result: Result<DeviceMethod>) => void;
  readonly reject: (error: unknown) => void;
  readonly onProgress: OnProgress | undefined;
}

/** What the device's worker was asked and has not answered. */
export class DeviceCalls {
  readonly #calls = new Map<number, PendingCall>();
  #nextId = 0;

  get count(): number {
    return this.#calls.size;
  }

  /** The id of the next call, which is that of one only once it is taken. */
  get nextId(): number {
    return this.#nextId;
  }

  takeId(): number {
    return this.#nextId++;
  }

  /**
   * Waits for the answer to call `id`.
   * @param ask asks the worker
   */
  wait<M extends DeviceMethod>(id: number, ask: () => void, onProgress?: OnProgress): Promise<Result<M>> {
    return new Promise<Result<M>>((resolve, reject) => {
      this.#calls.set(id, {
        // The worker answers method M with a result of method M.
        resolve: (result) => resolve(result as Result<M>),
        reject,
        onProgress,
      });
      ask();
    });
  }

  resolve(id: number, result: Result<DeviceMethod>): void {
    this.#take(id)?.resolve(result);
  }

  reject(id: number, error: unknown): void {
    this.#take(id)?.reject(error);
  }

  progress(id: number, ...progress: Parameters<OnProgress>): void {
    this.#calls.get(id)?.onProgress?.(...progress);
  }

  /** Nothing will be answered. */
  failAll(error: PynqLlmError): void {
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    for (const call of calls) call.reject(error);
  }

  #take(id: number): PendingCall | undefined {
    const call = this.#calls.get(id);
    this.#calls.delete(id);
    return call;
  }
}
