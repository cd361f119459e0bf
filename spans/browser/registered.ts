/** In browsers, in the place of ../registered.ts: a page gives its `traceparent` itself. */
export function registeredApi(): undefined {
  return undefined;
}
