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
    /** Bytes that every address is a multiple of, the width of the memory side: there is no realignment engine. */
    readonly alignment?: 4;
    /** Width of addresses: the registers of their upper words have no effect, and 4 GiB and beyond are out of reach. */
    readonly addressBits?: 32;
    /** False: the interrupt outputs are not connected, so registers are polled. */
    readonly interrupts?: boolean;
  };
  /** Where the counters' registers lie in the `hwc` window; unless given, where the revision's first design had them. */
  readonly hwc?: CounterDesign | undefined;
  /** Memory that DMA buffers are allocated from. Where `dmaDevices` are allocated, the kernel chooses other addresses. */
  readonly dmaMemory: readonly { readonly base: number; readonly size: number }[];
  /** Devices of the kernel to make for DMA memory; without them memory is what the board has. */
  readonly dmaDevices?: DmaDevices;
  /** All DDR memory in bytes, for reports. */
  readonly memoryBytes: number;
  /** Super-blocks that the core holds. */
  readonly capacity: { readonly weightBlocks: number; readonly inputBlocks: number };
  /** What it draws while it computes, in watts, and what an hour of it costs, in whatever currency: for plans. */
  readonly watts?: number;
  readonly price?: number;
  /** The FPGA itself, where the board is to be programmed or its clock set. */
  readonly fpga?: {
    /** Device without package, as `7z020`: a bitstream for another is refused. */
    readonly part: string;
    /** Which clock of the processor drives the core: FCLK0..3, on an UltraScale+ pl_clk0..3. */
    readonly clock?: 0 | 1 | 2 | 3;
    /** Hz of the processor's reference clock, PS_CLK, on an UltraScale+ PS_REF_CLK. */
    readonly referenceHz?: number;
    /** Where the implementation tool did not meet timing: its worst setup slack, and the clock that this was at. */
    readonly setup?: { readonly slackNs: number; readonly atHz: number };
    /** MD5 of the .bit file that the description is of, in lower-case hex. */
    readonly bitstreamMd5?: string;
  };
}

/** v3: four DMA lanes, the target on every board. v1: one lane. v4: v3 with a unit for SOFT_MAX. */
export type CoreRevision = 'v1' | 'v3' | 'v4';

/**
 * Order of the registers in the counters' window: the reset before the monitors (designs before 2026) or behind them.
 * Nothing but a bitstream's hash or its registers tells which.
 */
export type CounterLayout = 'reset-first' | 'reset-last';

export interface CounterDesign {
  readonly layout: CounterLayout;
  readonly monitors: number;
}

/** u-dma-buf devices, one to send from and one to receive into for each lane. */
export interface DmaDevices {
  readonly kind: 'u-dma-buf';
  /** Lane i sends from names[2i] and receives into names[2i + 1]. */
  readonly names: readonly string[];
  readonly inBytes: number;
  readonly outBytes: number;
}

export type CoreTiming = 'systemc' | 'synthesised';

export type UnpackSpeed = 'words' | 'hls';
