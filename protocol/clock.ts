/** Time for the protocol's deadlines: injected, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  now(): number;
  /** Runs `action` once after `ms` milliseconds unless the returned function is called before. */
  after(ms: number, action: () => void): () => void;
}

/** The process's own clock. Its timers do not keep the process alive. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, action) {
    const timer = setTimeout(action, ms);
    // A browser's timers are numbers.
    timer.unref?.();
    return () => clearTimeout(timer);
  },
};
