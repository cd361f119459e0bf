import { PARTS, type Part } from './parts.js';

const FIRST_PHASE = 0o400;
const WRITE_OUT = 0o377;

/** What process.umask tells the counter (count.c). Main thread only: Node lets no other one call it. */
function beginPhase(phase: number): void {
  process.umask(FIRST_PHASE + phase);
}

/** Ends a window: its counts are written, and the next begins. */
export function endWindow(): void {
  process.umask(WRITE_OUT);
}

let on = false;
let current = 0;
/** By phase: marked calls of it, and those that it made. Typed and never replaced: nothing about them may change under compiled code. */
const calls = new Float64Array(PARTS.length);
const callsFrom = new Float64Array(PARTS.length);

/** Says whether calls are marked from now on, and forgets how many were. */
export function markCalls(marked: boolean): void {
  on = marked;
  calls.fill(0);
  callsFrom.fill(0);
}

/** How many calls were marked since {@link markCalls}, by phase: what marking them cost can then be taken off. */
export function markedCalls(): { readonly calls: readonly number[]; readonly callsFrom: readonly number[] } {
  return { calls: [...calls], callsFrom: [...callsFrom] };
}

type Call = (this: unknown, ...args: unknown[]) => unknown;

/** A function that does what `call` does, marked as work of a part. */
export function marked(part: Part, call: Call): Call {
  const phase = PARTS.indexOf(part);
  return function (...args) {
    if (!on) return call.apply(this, args);
    const outer = current;
    calls[phase]++;
    callsFrom[outer]++;
    current = phase;
    beginPhase(phase);
    try {
      return call.apply(this, args);
    } finally {
      beginPhase(outer);
      current = outer;
    }
  };
}

/** Puts the marked function in the place of a class's method. */
export function markMethod(part: Part, { prototype }: { readonly prototype: object }, method: string): void {
  const methods = prototype as Record<string, Call | undefined>;
  const call = methods[method];
  if (call === undefined) throw new Error(`there is no method ${method} to be marked as ${part}`);
  methods[method] = marked(part, call);
}

type WithKernels = new (...args: never[]) => { readonly kernels: object };

/** A class whose objects have marked functions in the place of some of their kernels. */
export function markKernels(itself: WithKernels, parts: Readonly<Record<string, Part>>): WithKernels {
  return class extends itself {
    constructor(...args: never[]) {
      super(...args);
      const kernels: Record<string, Call> = { ...this.kernels };
      for (const [name, part] of Object.entries(parts)) {
        const kernel = kernels[name];
        if (kernel === undefined) throw new Error(`there is no kernel ${name} to be marked as ${part}`);
        kernels[name] = marked(part, kernel);
      }
      Object.defineProperty(this, 'kernels', { value: kernels });
    }
  };
}
