import { createRequire } from 'node:module';

export type OpenTelemetry = typeof import('@opentelemetry/api');

/** Where every copy of the API, of this major version, finds what the process has registered with any of them. */
const REGISTERED = Symbol.for('opentelemetry.js.api.1');
let api: OpenTelemetry | undefined;
let isMissing = false;

/**
 * OpenTelemetry's API, where this process has registered a tracer provider with it; otherwise nothing of it is loaded, nor looked for. Looked
 * at each time, because it may be registered at any time.
 */
export function registeredApi(): OpenTelemetry | undefined {
  const { [REGISTERED]: registered } = globalThis as { [REGISTERED]?: { readonly trace?: unknown } };
  if (registered?.trace === undefined || isMissing) return undefined;
  try {
    api ??= createRequire(import.meta.url)('@opentelemetry/api') as OpenTelemetry;
    return api;
  } catch {
    // Bundled into a program, or installed where this package does not see it: there are no spans then.
    isMissing = true;
    return undefined;
  }
}
