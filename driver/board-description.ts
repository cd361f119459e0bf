/** What is on a board: a file in boards/ (TOML) or the FPGA tool's own description becomes one of these. */
export interface BoardDescription {
  /** Short name, such as `pynq-z1`. */
  readonly name: string;
  /** For people, such as `PYNQ-Z1, SECDA-LLM bfpp v3`. */
  readonly title: string;
  readonly architecture: 'armv7' | 'aarch64';
  readonly revision: CoreRevision;
  /** Fabric clock of the core in Hz. */
  readonly clockHz: number;
  /** Weight types that the bitstream computes, as core type numbers 2..6 (Q2_K..Q6_K). */
  readonly weightTypes: readonly number[];
  /** Register windows that exist, by name; nothing else is ever touched. */
  readonly windows: Readonly<Record<string, { readonly base: number; readonly size: number }>>;
  readonly dma: {
    /** One AXI DMA per lane; window `dma0`.. for lane A... */
    readonly lanes: 1 | 4;
    /** Width of LENGTH as the IP was built: 14..26. The longest transfer is 2**lengthBits - 1 bytes. */
    readonly lengthBits: number;
  };
  /** Memory that DMA buffers are allocated from. */
  readonly dmaMemory: readonly { readonly base: number; readonly size: number }[];
  /** All DDR memory in bytes, for reports. */
  readonly memoryBytes: number;
  /** Super-blocks that the core holds. */
  readonly capacity: { readonly weightBlocks: number; readonly inputBlocks: number };
}

/** v3: four DMA lanes, the target on every board. v1: one lane. */
export type CoreRevision = 'v1' | 'v3';
