/** A board's link to the others: both ways at once, all that it sends through one port. */
export interface Link {
  readonly bytesPerSecond: number;
  /** From a message to its answer, in milliseconds, with what either side takes to notice it. */
  readonly roundTripMs: number;
}

/** A Zynq's gigabit port as its processor drives it, and a switch between the boards. */
export const DEFAULT_LINK: Link = { bytesPerSecond: 62e6, roundTripMs: 0.2 };

/** Until the last of so many bytes is there: half a round trip and the bytes. */
export function sendMs(link: Link, bytes: number): number {
  return link.roundTripMs / 2 + transferMs(link, bytes);
}

/** What so many bytes keep a port busy for. */
export function transferMs({ bytesPerSecond }: Link, bytes: number): number {
  return (bytes / bytesPerSecond) * 1_000;
}
