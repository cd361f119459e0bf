import type { ErrorEntry } from './entry.js';

/** Errors of linux-device: numbers 2500 to 2999, the second half of the driver's. */
export const LINUX_ERRORS = {
  LINUX_WRONG_MACHINE: {
    number: 2501,
    meaning: 'This machine is not the board that the description describes.',
    remedy: 'Run the agent on the board itself, or open a mock: device here.',
  },
  LINUX_KOFFI_MISSING: {
    number: 2502,
    meaning: 'The koffi module, through which device memory is mapped, cannot be loaded.',
    remedy:
      'Install the package with its optional dependencies for this architecture, or deploy the bundle again.',
  },
  LINUX_OPEN_FAILED: {
    number: 2503,
    meaning: 'A device node cannot be opened.',
    remedy:
      'Where permission is denied, let the udev rules of `pynq-llm deploy` give the node to the group of the agent; where it is missing, load its kernel module.',
  },
  LINUX_MAP_FAILED: {
    number: 2504,
    meaning: 'Device memory cannot be mapped.',
    remedy: 'Compare the addresses of the board description with the device tree and the bitstream.',
  },
  LINUX_WINDOW_NOT_FOUND: {
    number: 2505,
    meaning: 'No UIO device covers a register window of the board description.',
    remedy:
      'Add the generic-uio node that the error shows to the device tree (an overlay will do), or allow /dev/mem with ?devmem=1.',
  },
  LINUX_CLOSED: {
    number: 2506,
    meaning: 'The board was closed: its mappings are gone.',
    remedy: 'Open the device again.',
  },
  LINUX_LOGIC_NOT_CONFIGURED: {
    number: 2507,
    meaning:
      'The programmable logic holds no running bitstream, so an access to it could hang the processor.',
    remedy:
      'Let the board program it: `pynq-llm deploy BOARD --board NAME --bitstream FILE`; `journalctl -u pynq-llm-fpga` on the board says what came of it.',
  },
  LINUX_CLOCK_STOPPED: {
    number: 2508,
    meaning: 'The clock of the programmable logic does not run, so an access to it would hang the processor.',
    remedy:
      'Programming sets it where the board description has [fpga] clock and reference_hz: `pynq-llm deploy BOARD --board NAME --bitstream FILE`.',
  },
  LINUX_NO_DMA_MEMORY: {
    number: 2509,
    meaning: 'The board has no memory that the DMA engines can reach in one of the known ways.',
    remedy: 'Set up one of the ways that the error lists; u-dma-buf is the fastest.',
  },
  LINUX_DMA_MEMORY_SHORT: {
    number: 2510,
    meaning: 'The DMA memory is smaller than the driver needs for itself.',
    remedy: 'Change the boot argument or the device tree as the error shows, and start the board again.',
  },
  LINUX_MEMORY_NOT_RESERVED: {
    number: 2511,
    meaning:
      'Linux itself uses the memory that the board description gives to DMA, or it cannot be shown that it does not.',
    remedy: 'Keep the memory from Linux as the error shows, and start the board again.',
  },
  LINUX_SYNC_FAILED: {
    number: 2512,
    meaning: 'The caches could not be synchronised for a DMA buffer.',
    remedy: 'Check that the agent may write the sync files of the buffer, then open the device again.',
  },
  LINUX_XRT_FAILED: {
    number: 2513,
    meaning: 'The Xilinx runtime refused a call.',
    remedy: 'Check that zocl is loaded and XILINX_XRT is set as on the PYNQ image, or use u-dma-buf.',
  },
  LINUX_PHYSICAL_ADDRESS_UNKNOWN: {
    number: 2514,
    meaning:
      'The physical address of DMA memory cannot be established, or the memory is not in one piece below 4 GiB.',
    remedy: 'Use u-dma-buf or reserved memory instead.',
  },
  LINUX_LOGIC_RESET_UNAVAILABLE: {
    number: 2515,
    meaning: 'The board description declares no way to reset the programmable logic.',
    remedy:
      '`pynq-llm restart` programs a deployed bitstream again; on a Zynq-7000 an `slcr` window in the board description lets the driver do it.',
  },
  LINUX_SYSFS_UNREADABLE: {
    number: 2516,
    meaning: 'A file of the kernel cannot be read or does not hold what it should.',
    remedy: 'Check the kernel module that the file belongs to.',
  },
  LINUX_DMA_MEMORY_FRAGMENTED: {
    number: 2518,
    meaning: 'No DMA memory could be had in one piece: CMA is fragmented, or much too small.',
    remedy:
      'Restart the board: CMA fragments while a system runs, and dropping caches does not mend it. Where it is too small from the start, boot with a larger cma=.',
  },
  LINUX_DEVICE_NOT_DELETED: {
    number: 2519,
    meaning: 'A u-dma-buf device that an earlier process left cannot be deleted.',
    remedy:
      'End the process that still uses it (`fuser /dev/udmabuf*`), or restart the board; see `dmesg` for what the module says.',
  },
  LINUX_INTERRUPT_FAILED: {
    number: 2517,
    meaning: 'A UIO device gave no interrupts any more.',
    remedy: 'The device was removed or its driver unloaded: open the board again.',
  },
} as const satisfies Record<string, ErrorEntry>;
