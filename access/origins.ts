/**
 * Whether a web page may connect.
 * @param origins values of the Origin header that are let in, or `*` for all
 * @param origin of the request; clients that are no browser send none, and are let in
 */
export function isLetIn(origins: readonly string[], origin: string | undefined): boolean {
  return origin === undefined || origins.includes(origin) || origins.includes('*');
}
