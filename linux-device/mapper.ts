/** A piece of a device node or file to be mapped. */
export interface MapRequest {
  readonly path: string;
  /** Bytes, a multiple of the page size. UIO: the number of the map times the page size. /dev/mem: the address. */
  readonly offset: number;
  /** Bytes; whole pages are mapped. */
  readonly length: number;
  /** Whether the CPU may cache the memory: false opens the node with O_SYNC. */
  readonly cached: boolean;
}

/**
 * Memory of a device, seen by the CPU. After `unmap()` its views no longer show the device; whoever hands them out
 * refuses their use from then on.
 */
export interface Mapping {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  /** Idempotent. */
  unmap(): void;
}

/** Maps device memory: koffi on a board, something else in tests. */
export interface Mapper {
  /** Bytes; UIO counts its maps in pages. */
  readonly pageSize: number;
  /** @throws PynqLlmError LINUX_KOFFI_MISSING, LINUX_OPEN_FAILED, LINUX_MAP_FAILED */
  map(request: MapRequest): Mapping;
}
