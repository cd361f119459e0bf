/** What is on a board: a file in boards/ (TOML) or the FPGA tool's own description becomes one of these. */
export interface BoardDescription {
  /** Short name, such as `pynq-z1`. */
  readonly name: string;
  /** For people, such as `PYNQ-Z1, SECDA-LLM bfpp v3`. */
  readonly title: string;
  readonly architecture: 'armv7' | 'aarch64';
  readonly revision: CoreRevision;
  /** How many cycles its core takes: those of the SystemC model, or of the synthesised core as hardware showed them in 2026. */
  readonly timing: CoreTiming;
  /**
   * How fast the synthesised core unpacks weights: as fast as their words come in, or as the HLS report has it. Never measured,
   * so the truth lies between; of no effect in the SystemC timing.
   */
  readonly unpack: UnpackSpeed;
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
  /** The FPGA itself, where the board is to be programmed or its clock set. */
  readonly fpga?: {
    /** Device without package, as `7z020`: a bitstream for another is refused. */
    readonly part: string;
    /** Which clock of the processor drives the core: FCLK0..3. */
    readonly clock?: 0 | 1 | 2 | 3;
    /** Hz of the processor's reference clock, PS_CLK. */
    readonly referenceHz?: number;
  };
}

/** v3: four DMA lanes, the target on every board. v1: one lane. */
export type CoreRevision = 'v1' | 'v3';

export type CoreTiming = 'systemc' | 'synthesised';

export type UnpackSpeed = 'words' | 'hls';
